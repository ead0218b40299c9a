"""Every error hawq raises on purpose.

HawqError
├── InputError             something the user gave
│   ├── FlowError          a flow file: unknown key, wrong type, missing table
│   ├── DataError          columns, NaN, classes, shapes
│   ├── NetworkError       a layer or node that cannot be carried
│   ├── FormatError        a number format that does not exist
│   ├── UnknownNameError   a plug-in name nobody registered
│   └── InfeasibleError    budgets that no assignment meets
├── InexactError           a value with no exact representation
├── MismatchError          two rungs of the ladder differ
├── StageError             a stage folder that is damaged or missing
└── ToolError              an external tool that is missing or failed

The message says what was got, what was expected, where it came from and what to do.
"""

from __future__ import annotations


class HawqError(Exception):
    """Base of all errors hawq raises on purpose."""


class InputError(HawqError):
    """Something the user gave is wrong."""


class FlowError(InputError):
    """A flow file is wrong."""


class DataError(InputError):
    """A data set is wrong."""


class NetworkError(InputError):
    """A network holds something that cannot be carried."""


class FormatError(InputError):
    """A number format does not exist."""


class UnknownNameError(InputError):
    """A plug-in name is not registered."""


class InfeasibleError(InputError):
    """No assignment meets the budgets."""


class InexactError(HawqError):
    """A value has no exact representation."""


class MismatchError(HawqError):
    """Two rungs of the ladder differ."""


class StageError(HawqError):
    """A stage folder is damaged or missing."""


class ToolError(HawqError):
    """An external tool is missing or failed."""
