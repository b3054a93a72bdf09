"""The operator: the controller's loop, at home in a Kubernetes cluster.

Rules:
- The loop below does the work and knows nothing of Kubernetes. This room brings resources in and status out.
- `situation.py`, `counts.py`, `judgement.py`, `status.py` and `pacing.py` are pure: no clock, no network, no kopf. They
  make of what is known of a fleet the status document that kstatus, `kubectl wait`, Flux and Argo CD understand, and
  say when it may be written.
- A status holds counts and at most ten devices, never all of them: the size of a resource is limited, a fleet's is not.
"""
