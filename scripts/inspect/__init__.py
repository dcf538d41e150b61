"""`greenroom inspect`: any actor's state and history, read from the journal without disturbing the actor."""
