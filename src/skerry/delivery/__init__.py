"""The delivery pipeline: plan, chunks, lease, send, settle. A durable outbox and the loop that empties it."""
