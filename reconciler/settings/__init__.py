"""What a controller is told beforehand: one file with a schema, and the environment over it. Pure."""
