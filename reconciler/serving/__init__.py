"""What a running controller answers over HTTP: health, metrics, status, plans, events, and the words of a person."""
