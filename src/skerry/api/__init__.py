"""HTTP in, answers out: the drop-in contract, our own API, authentication, one error shape each."""
