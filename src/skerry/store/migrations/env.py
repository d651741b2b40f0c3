"""Alembic's way in: runs migrations on the connection that `skerry.store.migration` hands over."""

from alembic import context

from skerry.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,  # SQLite alters little in place: alembic copies the table instead
)
with context.begin_transaction():
    context.run_migrations()
