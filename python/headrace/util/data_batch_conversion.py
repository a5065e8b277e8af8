"""The forms that a batch of rows may have."""

from enum import Enum

# The column of a batch that is one array.
TENSOR_COLUMN_NAME = "__value__"


class BatchFormat(str, Enum):
    """What a preprocessor works on."""

    PANDAS = "pandas"
    NUMPY = "numpy"
    ARROW = "arrow"
    CUDF = "cudf"
