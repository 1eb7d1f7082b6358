"""Text to token ids and back: byte-level BPE trained on the reports, digits one by one, fixed special tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Backend

from uvlm_core.errors import BundleError

SPECIALS = ("<|pad|>", "<|end|>", "<|prompt|>", "<|answer|>", "<|vision_start|>", "<|vision_end|>")
PAD, END, PROMPT, ANSWER, VISION_START, VISION_END = range(len(SPECIALS))


class Tokenizer:
    """A trained tokenizer. Special tokens have the ids 0 … 5 and never come out of ordinary text."""

    def __init__(self, backend: Backend):
        found = tuple(backend.id_to_token(number) for number in range(len(SPECIALS)))
        if found != SPECIALS:
            raise BundleError(f"The tokenizer's first tokens must be {', '.join(SPECIALS)}; found {found}. "
                              "It was made for another model.")
        self.backend = backend
        backend.encode_special_tokens = True  # a user's text that spells a special token stays text

    @staticmethod
    def from_json(text: str) -> Tokenizer:
        """Raises BundleError where `text` is no tokenizer."""
        try:
            return Tokenizer(Backend.from_str(text))
        except BundleError:
            raise
        except Exception as error:  # the library raises bare Exception
            raise BundleError(f"The tokenizer cannot be read: {error}.") from error

    @staticmethod
    def from_file(path: str | Path) -> Tokenizer:
        """Raises BundleError where the file is missing or no tokenizer."""
        try:
            return Tokenizer.from_json(Path(path).read_text("utf-8"))
        except OSError as error:
            raise BundleError(f"The tokenizer {path} cannot be read: {error}.") from error

    def to_json(self) -> str:
        """The whole tokenizer as JSON text."""
        return self.backend.to_str()

    @property
    def size(self) -> int:
        """Number of tokens, specials included."""
        return self.backend.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, no specials added; `decode` gives the same text back."""
        return self.backend.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; specials are left out."""
        return self.backend.decode([int(number) for number in ids if number >= len(SPECIALS)])

    def decode_with_spans(self, ids: Sequence[int]) -> tuple[str, list[tuple[int, int]]]:
        """Text of `ids`, and for each id the (start, end) characters of the text that it wrote; specials write none.

        A character of several bytes that spans tokens belongs to the token that completes it.
        """
        spans, kept, length, text = [], [], 0, ""
        for number in ids:
            if number >= len(SPECIALS):
                kept.append(int(number))
                text = self.backend.decode(kept)
            visible = len(text.rstrip("\ufffd"))
            spans.append((length, max(length, visible)))
            length = max(length, visible)
        return text, spans


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer of at most `size` tokens learned from `texts`; the same texts give the same tokenizer."""
    backend = Backend(models.BPE())
    # words keep the space before them; a digit, a mark or a line break stands alone
    backend.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r" ?[^\s\d\p{P}]+|\d| ?\p{P}|\n|\s"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIALS), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator(texts, trainer)
    return Tokenizer(backend)


def shifted_tokenizer(text: str) -> str:
    """A language model's tokenizer.json with UVLM's special tokens in front: every id grows by their number.

    Raises:
        BundleError: the tokenizer is of a kind that cannot be shifted.
    """
    values, shift = json.loads(text), len(SPECIALS)
    vocabulary = values["model"].get("vocab")
    if isinstance(vocabulary, dict):
        values["model"]["vocab"] = {**{name: number for number, name in enumerate(SPECIALS)},
                                    **{name: number + shift for name, number in vocabulary.items()
                                       if name not in SPECIALS}}
    elif isinstance(vocabulary, list):  # Unigram: rows of (text, score), the place is the id
        values["model"]["vocab"] = [*([name, -100.0] for name in SPECIALS), *vocabulary]
        if values["model"].get("unk_id") is not None:
            values["model"]["unk_id"] += shift
    else:
        raise BundleError(f"A tokenizer of the kind {values['model'].get('type')} cannot be used.")
    own = [{"id": number, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": True} for number, name in enumerate(SPECIALS)]
    added = [{**row, "id": row["id"] + shift} for row in values.get("added_tokens", [])
             if row["content"] not in SPECIALS]
    return json.dumps({**values, "added_tokens": own + added, "post_processor": None, "truncation": None,
                       "padding": None})
