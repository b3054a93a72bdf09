"""The command line: one file a verb. Parses words, calls the rooms below, prints, and maps errors to exit codes."""
