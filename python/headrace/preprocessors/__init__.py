"""Preprocessors for tables, texts and images: each learns from a dataset, then transforms batches.

Arguments that many share:
    columns: names of the columns to read. One that is not there raises when data is transformed.
    output_columns: names of the results' columns, one for each of `columns`; None: in place.
"""

from headrace.preprocessors.chain import Chain
from headrace.preprocessors.concatenator import Concatenator
from headrace.preprocessors.discretizer import CustomKBinsDiscretizer, UniformKBinsDiscretizer
from headrace.preprocessors.encoder import (
    Categorizer,
    LabelEncoder,
    MultiHotEncoder,
    OneHotEncoder,
    OrdinalEncoder,
)
from headrace.preprocessors.hasher import FeatureHasher
from headrace.preprocessors.imputer import SimpleImputer
from headrace.preprocessors.normalizer import Normalizer
from headrace.preprocessors.scaler import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from headrace.preprocessors.tokenizer import Tokenizer
from headrace.preprocessors.torch import TorchVisionPreprocessor
from headrace.preprocessors.transformer import PowerTransformer
from headrace.preprocessors.vectorizer import CountVectorizer, HashingVectorizer

__all__ = [
    "Categorizer",
    "Chain",
    "Concatenator",
    "CountVectorizer",
    "CustomKBinsDiscretizer",
    "FeatureHasher",
    "HashingVectorizer",
    "LabelEncoder",
    "MaxAbsScaler",
    "MinMaxScaler",
    "MultiHotEncoder",
    "Normalizer",
    "OneHotEncoder",
    "OrdinalEncoder",
    "PowerTransformer",
    "RobustScaler",
    "SimpleImputer",
    "StandardScaler",
    "Tokenizer",
    "TorchVisionPreprocessor",
    "UniformKBinsDiscretizer",
]
