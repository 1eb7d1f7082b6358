"""The tokenizer loses nothing and knows which characters each token wrote."""

from __future__ import annotations

import pytest

from uvlm_core.errors import BundleError
from uvlm_core.model.tokenizer import SPECIALS, Tokenizer, train_tokenizer

TEXTS = ["Lungs: A 14 mm nodule in the right upper lobe.\nPleura: No effusion.\nImpression: Nodule, 3.5 cm."] * 20


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 400)


@pytest.mark.parametrize("text", [TEXTS[0], "naïve ü – 漢字 😀", "", "  two  spaces\n\n", "<|end|> spelled by a user"])
def test_round_trip(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(number >= len(SPECIALS) for number in ids), "ordinary text never becomes a special token"


def test_digits_stand_alone(tokenizer):
    assert len(tokenizer.encode("2468")) == 4


def test_spans_cover_the_text_in_order(tokenizer):
    text = TEXTS[0] + " ü"
    got, spans = tokenizer.decode_with_spans([4, 5, *tokenizer.encode(text), 1])
    assert got == text
    assert "".join(got[a:b] for a, b in spans) == text
    assert spans[0] == spans[1] == (0, 0)


def test_same_texts_same_tokenizer(tokenizer):
    assert train_tokenizer(TEXTS, 400).to_json() == tokenizer.to_json()
    assert Tokenizer.from_json(tokenizer.to_json()).encode(TEXTS[0]) == tokenizer.encode(TEXTS[0])


def test_a_foreign_tokenizer_is_refused(tmp_path):
    with pytest.raises(BundleError, match="cannot be read"):
        Tokenizer.from_json("{}")
    with pytest.raises(BundleError, match="cannot be read"):
        Tokenizer.from_file(tmp_path / "none.json")
