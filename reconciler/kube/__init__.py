"""The operator: the controller's loop, at home in a Kubernetes cluster.

Rules:
- The loop below does the work and knows nothing of Kubernetes. This room brings resources in and status out.
- Only `watching.py` loads kopf, and uses it to hear of changes alone. What a handler hears goes into the store; whoever
  decides something reads the store, so that no failure of a handler loses anything.
- A namespace is a tenant: its own token, its own loop. Its fleets are `namespace/name` in the journal.
- Deleting a resource touches no device, and nothing here puts a finalizer on one.
"""
