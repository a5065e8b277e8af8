"""Constants that programs import."""

MAX_REPR_LENGTH = 120
TENSOR_COLUMN_NAME = "__value__"
