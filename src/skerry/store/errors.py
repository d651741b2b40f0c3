"""What can be wrong with the store itself, as opposed to what it is asked.

StoreError
├── StoreInUseError       another service holds this database
├── StoreTooNewError      made by a later release
├── StoreOutdatedError    needs a migration that cannot run now
├── StoreUnusableError    not a database of ours, or a file system that cannot hold one
├── StoreClosedError      asked after `close`
└── NotStoredError        the commit failed; what the caller wrote is not on disk
"""


class StoreError(Exception):
    """The store cannot do its work."""


class StoreInUseError(StoreError):
    """Another service holds this database."""


class StoreTooNewError(StoreError):
    """The database was made by a later release than this one."""


class StoreOutdatedError(StoreError):
    """The database has to be migrated first, and a running service is in the way."""


class StoreUnusableError(StoreError):
    """The file is not a database of ours, or its file system cannot hold one."""


class StoreClosedError(StoreError):
    """The store has been closed."""


class NotStoredError(StoreError):
    """The transaction failed as a whole, for everybody in it: disk full, I/O error, locked by another process."""
