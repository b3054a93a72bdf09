"""The one stream of typed events, as logs, metrics and messages to people."""
