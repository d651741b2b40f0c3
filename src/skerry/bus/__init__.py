"""Wake-ups between the parts of the service.

The bus may lose everything and nothing is lost: the store is the truth.
"""
