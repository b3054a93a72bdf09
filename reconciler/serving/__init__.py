"""What a running controller answers over HTTP: health, metrics, status, plans, events, and the words of a person.

Rules: everything comes from the `Desk` or the journal, so that HTTP knows no more and may do no more than a command.
One table of endpoints makes the routes, the checks and the OpenAPI description. Whoever asks may be slow, many or
hostile: every body, header, wait and number has a limit, and none of them reaches the loop.

Why at the top: nothing imports it; a controller without HTTP is the same controller.
"""
