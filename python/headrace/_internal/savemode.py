"""What a write does where something stands already."""

from enum import Enum, IntEnum


class SaveMode(str, Enum):
    """The mode of a write.

    APPEND adds files; OVERWRITE removes what stood there once the new files stand; IGNORE does
    nothing if the place exists; ERROR raises ValueError if it exists; CREATE and UPSERT are for
    tables of sinks that know them.
    """

    CREATE = "create"
    APPEND = "append"
    OVERWRITE = "overwrite"
    IGNORE = "ignore"
    ERROR = "error"
    UPSERT = "upsert"


class SinkMode(IntEnum):
    """What a sink of tables does with one that exists: fails, adds rows, or makes it anew."""

    CREATE = 1
    APPEND = 2
    OVERWRITE = 3
