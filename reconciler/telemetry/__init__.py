"""The one stream of typed events, as logs, metrics and messages to people.

- `logs.Log.tell`, `metrics.Metrics.tell`, `notifications.Telling.tell`: each takes every event, and none of them waits.
- `channels.open_channels` makes channels of settings; `notifications.Telling` tells people by them, beside the loop.
- `figures.Figures` is what metrics ask the controller for; `metric_names` has every metric.
"""
