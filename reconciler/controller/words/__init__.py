"""What a person's words do to a journal, whoever carries them: a command, HTTP, or the operator in Kubernetes.

Rules: a word needs no manifests, no cloud and no network but the journal's. It is durable when it is told. What cannot
be about anything (a fleet that nobody knows, a device on which nothing failed) is not written down, and that is said.

Why here: one set of checks and messages, so that no way of saying a word is laxer than another.
"""
