"""The snippet for sentence-transformers, run: its vectors are those that are measured."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.snippets import DOCUMENT, QUERY, Use, snippets
from tests.worker.encoder_world import encode, load_dense
from tests.worker.engine_world import write_model
from worker.encoders.base import FloatArray, Precision
from worker.encoders.precision import CALIBRATED, quantise, ranges


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), prompts={"query": "query ", "document": "document "})


def _run(code: str) -> dict[str, Any]:
    """The variables that a program leaves behind."""
    left: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "snippet", "exec"), left)
    return left


@pytest.mark.parametrize("precision", ["float32", "int8", "uint8", "binary"])
@pytest.mark.parametrize("query_prompt", ["query ", "", "red cat: "])
def test_the_snippet_gives_what_was_measured(model_folder: Path, precision: Precision, query_prompt: str) -> None:
    use = Use(
        str(model_folder),
        precision=precision,
        truncate_dim=12,
        max_tokens=6,
        query_prompt=query_prompt,
        document_prompt="document ",
    )
    left = _run(snippets(use)[0].code)

    encoder = load_dense(model_folder, truncate_dim=12, max_tokens=6)
    documents = encode(encoder, [DOCUMENT], "document ")
    limits = ranges([documents]) if precision in CALIBRATED else None
    expected: dict[str, FloatArray] = {
        "queries": quantise(encode(encoder, [QUERY], query_prompt), precision, limits),
        "documents": quantise(documents, precision, limits),
    }
    for name, vectors in expected.items():
        np.testing.assert_allclose(left[name], vectors, atol=1e-6 if precision == "float32" else 1)
        assert left[name].shape == (1, 12)
