"""A product of its own: an APNs that behaves like Apple's, and phones that decide as iOS would.

It shares the domain's words with the rest of the house and none of the sender's wire code, so that the two check
each other.
"""
