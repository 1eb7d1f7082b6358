"""The released code's tokenizer: a Hugging Face folder, and three vision tokens that the network adds itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from uvlm_core.errors import BundleError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>")


def load_reference_tokenizer(folder: str | Path) -> tuple[Tokenizer, dict[str, int]]:
    """Reads `tokenizer.json` and the names of the special tokens from `tokenizer_config.json`.

    Returns:
        the tokenizer with the vision tokens, and the ids `vision_start_id`, `vision_end_id`, `eos_id`, `pad_id`
        (the released code pads with the end token where there is no padding token).

    Raises:
        BundleError: a file is missing or is not a tokenizer.
    """
    from tokenizers import Tokenizer

    folder = Path(folder)
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        names = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    except Exception as error:  # tokenizers raises plain Exception
        raise BundleError(f"{folder} does not hold a tokenizer (tokenizer.json and tokenizer_config.json): "
                          f"{error}.") from error
    tokenizer.add_special_tokens([token for token in VISION_TOKENS if tokenizer.token_to_id(token) is None])
    end = _id(tokenizer, names.get("eos_token"))
    padding = _id(tokenizer, names.get("pad_token"))
    ids = {"vision_start_id": tokenizer.token_to_id(VISION_TOKENS[0]),
           "vision_end_id": tokenizer.token_to_id(VISION_TOKENS[1]),
           "eos_id": padding if end is None else end, "pad_id": end if padding is None else padding}
    return tokenizer, ids


def _id(tokenizer: Tokenizer, entry: str | dict | None) -> int | None:
    name = entry.get("content") if isinstance(entry, dict) else entry
    return None if name is None else tokenizer.token_to_id(name)
