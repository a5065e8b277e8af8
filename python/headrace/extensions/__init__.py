"""Types of columns that hold tensors and Python objects, for pandas and for Arrow.

Columns of tensors are Arrow's own extension types here (`arrow.fixed_shape_tensor`,
`arrow.variable_shape_tensor`): the names of ray.data make and recognise them. In pandas a
`TensorArray` is a column of tensors that every verb takes.
"""

from headrace._internal.object_type import ObjectArray as ArrowPythonObjectArray
from headrace._internal.object_type import ObjectScalar as ArrowPythonObjectScalar
from headrace._internal.object_type import ObjectType as ArrowPythonObjectType
from headrace.extensions.arrow_tensors import (
    ArrowConversionError,
    ArrowTensorArray,
    ArrowTensorType,
    ArrowTensorTypeV2,
    ArrowVariableShapedTensorArray,
    ArrowVariableShapedTensorType,
    FixedShapeTensorFormat,
    FixedShapeTensorType,
    create_arrow_fixed_shape_tensor_type,
    get_arrow_extension_tensor_types,
)
from headrace.extensions.pandas_objects import PythonObjectArray, PythonObjectDtype
from headrace.extensions.pandas_tensors import (
    TensorArray,
    TensorArrayElement,
    TensorDtype,
    column_needs_tensor_extension,
)

__all__ = [
    "ArrowConversionError",
    "ArrowPythonObjectArray",
    "ArrowPythonObjectScalar",
    "ArrowPythonObjectType",
    "ArrowTensorArray",
    "ArrowTensorType",
    "ArrowTensorTypeV2",
    "ArrowVariableShapedTensorArray",
    "ArrowVariableShapedTensorType",
    "FixedShapeTensorFormat",
    "FixedShapeTensorType",
    "PythonObjectArray",
    "PythonObjectDtype",
    "TensorArray",
    "TensorArrayElement",
    "TensorDtype",
    "column_needs_tensor_extension",
    "create_arrow_fixed_shape_tensor_type",
    "get_arrow_extension_tensor_types",
]
