"""Reads tensors and settings from a checkpoint of the released code (.pth) without executing anything in it.

Such a file is a zip with a pickle program and raw tensor data. Running that program with Python's unpickler could run
any code. Here its instructions are only followed for plain values, containers and tensors; every other object that it
asks for becomes an inert `Foreign` with its name, so nothing is imported or called.
"""

from __future__ import annotations

import lzma
import math
import pickletools
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from uvlm_core.errors import BundleError

_DTYPES = {"FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
           "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
           "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8,
           "BoolStorage": torch.bool}
MOST_VALUES, MOST_DEPTH = 1_000_000, 100  # of settings: a few kB of hostile ones are lists in lists without end
_DAMAGED = (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError, ArithmeticError, EOFError,
            RecursionError, zlib.error, lzma.LZMAError)


@dataclass
class Foreign:
    """Something that only the original program could build: its name, arguments and state, never used."""

    name: str
    arguments: Any = None
    state: Any = None


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: torch.dtype


class _Mark:
    pass


def load_reference_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Network weights and settings of a checkpoint of the released trainers.

    Returns:
        tensors under the released names (for `load_reference_state`), and everything else that is plain data, for
        example `init_args` and `current_epoch`.

    Raises:
        BundleError: not such a file, or one that needs more than tensors and plain values.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            program = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if len(program) != 1:
                raise BundleError(f"{path} is not a PyTorch checkpoint: data.pkl was expected once in it, "
                                  f"found {len(program)} times.")
            prefix = program[0][: -len("data.pkl")]
            if f"{prefix}byteorder" in archive.namelist() and archive.read(f"{prefix}byteorder") != b"little":
                raise BundleError(f"{path} was written on a big-endian machine, which is not supported.")
            content = _Program(lambda key: archive.read(f"{prefix}data/{key}")).run(archive.read(program[0]))
        return _parts(content, path)
    except (OSError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path} cannot be read as a checkpoint (.pth, a zip archive): {error}.") from error
    except _DAMAGED as error:
        raise BundleError(f"{path} is damaged or holds more than tensors and plain values: {error}. Copy it again, "
                          "or use another checkpoint.") from error


def _parts(content: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by name, and the settings beside them."""
    if not isinstance(content, dict):
        raise BundleError(f"{path} holds a {type(content).__name__}; expected a table of entries.")
    for key in ("network_weights", "state_dict", "model"):
        if isinstance(content.get(key), dict):
            weights, rest = content[key], {name: value for name, value in content.items() if name != key}
            break
    else:
        weights, rest = content, {}
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor) and isinstance(name, str)}
    if not tensors:
        raise BundleError(f"{path} holds no tensors under network_weights, state_dict, model or at its top.")
    return tensors, _plain(rest)


class _Program:
    """Follows a pickle program for values, containers and tensors. The opcodes are those of PEP 307 and 3154."""

    def __init__(self, read: Callable[[str], bytes]):
        self.read = read
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Tensor] = {}

    def run(self, program: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(program):
            if opcode.name == "STOP":
                return self.stack[-1]
            step = _STEPS.get(opcode.name)
            if step is not None:
                step(self, argument)
            elif opcode.name in _VALUES:
                self.stack.append(argument)
            elif opcode.name not in ("PROTO", "FRAME"):
                raise ValueError(f"the instruction {opcode.name} is not supported")
        raise ValueError("its end is missing")

    def pop_to_mark(self) -> list[Any]:
        start = max(index for index, value in enumerate(self.stack) if isinstance(value, _Mark))
        values = self.stack[start + 1 :]
        del self.stack[start:]
        return values

    def tuple_of(self, count: int) -> None:
        values = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        self.stack.append(values)

    def append(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            for key, value in zip(values[::2], values[1::2], strict=True):
                plain = isinstance(key, str | int | float | bool | None)  # others may take forever to hash or print
                target[key if plain else f"{type(key).__name__} {len(target)}"] = value

    def build(self, state: Any) -> None:
        if isinstance(self.stack[-1], Foreign):
            self.stack[-1].state = state

    def reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        name = function.name if isinstance(function, Foreign) else ""
        if name == "collections OrderedDict":
            self.stack.append({})
        elif name == "torch._utils _rebuild_tensor_v2":
            self.stack.append(self.tensor(*arguments[:4]))
        elif name == "torch._utils _rebuild_parameter":
            self.stack.append(arguments[0])
        else:
            self.stack.append(Foreign(name, arguments))

    def storage(self) -> None:
        kind, storage_type, key = self.stack.pop()[:3]
        dtype = _DTYPES.get(storage_type.name.removeprefix("torch "))
        if kind != "storage" or dtype is None:
            raise ValueError(f"the storage {storage_type.name} is not supported")
        self.stack.append(_Storage(key, dtype))

    def tensor(self, storage: _Storage, offset: int, size: tuple, stride: tuple) -> Tensor:
        if storage.key not in self.storages:
            data = bytearray(self.read(storage.key))
            values = torch.frombuffer(data, dtype=storage.dtype) if data else torch.empty(0, dtype=storage.dtype)
            self.storages[storage.key] = values
        values = self.storages[storage.key]
        last = offset + sum((extent - 1) * step for extent, step in zip(size, stride, strict=True))
        if math.prod(size) and not 0 <= offset <= last < len(values):
            raise ValueError(f"a tensor reaches beyond its storage {storage.key}")
        return values.as_strided(size, stride, offset)

    def name_from_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(Foreign(f"{module} {name}"))


_VALUES = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "BININT", "BININT1", "BININT2", "INT", "LONG",
           "LONG1", "LONG4", "BINFLOAT", "FLOAT", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINSTRING",
           "SHORT_BINSTRING", "STRING"}

_STEPS: dict[str, Callable[[_Program, Any], Any]] = {
    "NONE": lambda p, _: p.stack.append(None),
    "NEWTRUE": lambda p, _: p.stack.append(True),
    "NEWFALSE": lambda p, _: p.stack.append(False),
    "EMPTY_DICT": lambda p, _: p.stack.append({}),
    "EMPTY_LIST": lambda p, _: p.stack.append([]),
    "EMPTY_TUPLE": lambda p, _: p.stack.append(()),
    "EMPTY_SET": lambda p, _: p.stack.append([]),
    "MARK": lambda p, _: p.stack.append(_Mark()),
    "POP": lambda p, _: p.stack.pop(),
    "POP_MARK": lambda p, _: p.pop_to_mark(),
    "DUP": lambda p, _: p.stack.append(p.stack[-1]),
    "TUPLE": lambda p, _: p.stack.append(tuple(p.pop_to_mark())),
    "TUPLE1": lambda p, _: p.tuple_of(1),
    "TUPLE2": lambda p, _: p.tuple_of(2),
    "TUPLE3": lambda p, _: p.tuple_of(3),
    "LIST": lambda p, _: p.stack.append(p.pop_to_mark()),
    "APPEND": lambda p, _: p.append([p.stack.pop()]),
    "APPENDS": lambda p, _: p.append(p.pop_to_mark()),
    "ADDITEMS": lambda p, _: p.append(p.pop_to_mark()),
    "SETITEM": lambda p, _: p.set_items([p.stack.pop(-2), p.stack.pop()]),
    "SETITEMS": lambda p, _: p.set_items(p.pop_to_mark()),
    "BINPUT": lambda p, index: p.memo.__setitem__(index, p.stack[-1]),
    "LONG_BINPUT": lambda p, index: p.memo.__setitem__(index, p.stack[-1]),
    "MEMOIZE": lambda p, _: p.memo.__setitem__(len(p.memo), p.stack[-1]),
    "BINGET": lambda p, index: p.stack.append(p.memo[index]),
    "LONG_BINGET": lambda p, index: p.stack.append(p.memo[index]),
    "GLOBAL": lambda p, name: p.stack.append(Foreign(name)),
    "STACK_GLOBAL": lambda p, _: p.name_from_stack(),
    "REDUCE": lambda p, _: p.reduce(),
    "NEWOBJ": lambda p, _: p.reduce(),
    "BUILD": lambda p, _: p.build(p.stack.pop()),
    "BINPERSID": lambda p, _: p.storage(),
}


def _plain(value: Any) -> Any:
    """The value with everything that is not plain data replaced by None.

    Raises:
        ValueError: more than MOST_VALUES values, or deeper than MOST_DEPTH.
    """
    count = 0

    def copied(value: Any, depth: int) -> Any:
        nonlocal count
        count += 1
        if count > MOST_VALUES or depth > MOST_DEPTH:
            raise ValueError(f"its settings are more than {MOST_VALUES} values or nested more than {MOST_DEPTH} deep")
        if isinstance(value, dict):
            return {key: copied(entry, depth + 1) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [copied(entry, depth + 1) for entry in value]
        return value if isinstance(value, str | int | float | bool) else None

    return copied(value, 0)
