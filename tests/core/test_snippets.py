"""The snippets say what was measured, and nothing in them can leave its quotation marks."""

import ast
import itertools
import json
import shlex
from typing import Any

import pytest

from app.core.snippets import DOCUMENT, FOLDER, QUERY, Snippet, Use, search_prompts, snippets
from worker.encoders.base import ModelSpec, find_prompt

COMMIT = "c0ffee" * 6 + "0000"
HOSTILE = (
    "'); import os; os.system('x') #",
    '"""\n"); raise SystemExit',
    "'$(touch x)`touch y`\\",
    "\u202e evil \u2066",
    "line\nbreak\r\n\ttab \0",
    "\ud800 half",
    "</pre><script>alert(1)</script>",
    "检索: ",
)


def _by_title(use: Use) -> dict[str, Snippet]:
    return {snippet.title: snippet for snippet in snippets(use)}


def _calls(code: str) -> dict[str, dict[str, Any]]:
    """The keyword arguments of each call in Python code, by the name of what is called."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    found: dict[str, dict[str, Any]] = {}
    for call in calls:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        literal = {"": [ast.literal_eval(value) for value in call.args if isinstance(value, ast.Constant | ast.List)]}
        keywords = {word.arg or "": word.value for word in call.keywords}
        literal |= {
            word: ast.literal_eval(value)
            for word, value in keywords.items()
            if isinstance(value, ast.Constant | ast.Dict)
        }
        found[name] = literal
    return found


def _requests(code: str) -> list[dict[str, Any]]:
    """The bodies that the shell would send."""
    words = shlex.split(code)
    return [json.loads(words[index + 1]) for index, word in enumerate(words) if word == "-d"]


def test_everything_that_was_measured_is_said() -> None:
    use = Use(
        "acme/small", COMMIT, truncate_dim=128, max_tokens=256, query_prompt="query: ", document_prompt="passage: "
    )
    found = _by_title(use)
    model = _calls(found["sentence-transformers"].code)
    loading = {"revision": COMMIT, "truncate_dim": 128, "model_kwargs": {"dtype": "float32"}}
    assert model["SentenceTransformer"] == {"": ["acme/small"], **loading}
    assert model["encode_query"] == {"": [[QUERY]], "prompt": "query: "}
    assert model["encode_document"] == {"": [[DOCUMENT]], "prompt": "passage: "}
    assert "model.max_seq_length = 256\n" in found["sentence-transformers"].code
    assert _calls(found["LlamaIndex"].code)["HuggingFaceEmbedding"] == {
        "": [],
        "model_name": "acme/small",
        **loading,
        "query_instruction": "query: ",
        "text_instruction": "passage: ",
        "max_length": 256,
    }
    assert _calls(found["LangChain"].code)["HuggingFaceEmbeddings"] == {
        "": [],
        "model_name": "acme/small",
        "model_kwargs": loading,
        "encode_kwargs": {"prompt": "passage: ", "task": "document"},
        "query_encode_kwargs": {"prompt": "query: ", "task": "query"},
    }
    assert "max_seq_length = 256" in found["LangChain"].code
    server = found["text-embeddings-inference"]
    assert f"--model-id acme/small --dtype float32 --revision {COMMIT}\n" in server.code
    assert _requests(server.code) == [
        {"inputs": f"query: {QUERY}", "truncate": True, "dimensions": 128},
        {"inputs": f"passage: {DOCUMENT}", "truncate": True, "dimensions": 128},
    ]
    assert "256 tokens" in " ".join(server.notes)


def test_a_model_as_it_comes_needs_little() -> None:
    found = _by_title(Use("acme/small"))
    assert _calls(found["sentence-transformers"].code)["SentenceTransformer"] == {
        "": ["acme/small"],
        "model_kwargs": {"dtype": "float32"},
    }
    for snippet in found.values():
        for word in ("revision", "truncate_dim", "dimensions", "max_", "normalize", "numpy"):
            assert word not in snippet.code
    assert found["sentence-transformers"].notes == found["LlamaIndex"].notes == ()


@pytest.mark.parametrize("precision", ["int8", "uint8", "binary"])
def test_what_a_library_cannot_do_is_noted(precision: str) -> None:
    use = Use("acme/small", COMMIT, dtype="bfloat16", precision=precision, similarity="dot")
    found = _by_title(use)
    code = found["sentence-transformers"].code
    assert ("quantize_embeddings" in code) == (precision != "binary")
    assert (f"quantize_embeddings(part, '{precision}', ranges=ranges)" in code) == (precision != "binary")
    for title in ("LlamaIndex", "LangChain", "text-embeddings-inference"):
        assert any(precision in note for note in found[title].notes), title
    assert _calls(found["LlamaIndex"].code)["HuggingFaceEmbedding"]["normalize"] is False
    server = found["text-embeddings-inference"]
    assert "--dtype float32" in server.code
    assert any("bfloat16" in note for note in server.notes)
    assert [request["normalize"] for request in _requests(server.code)] == [False, False]


def test_llama_index_adds_no_prompt_of_its_own() -> None:
    code = _by_title(Use("BAAI/bge-small-en-v1.5", document_prompt="text: "))["LlamaIndex"].code
    assert "embed_model._model.prompts.update({'query': '', 'text': 'text: '})" in code
    for use in (Use("BAAI/bge-m3", query_prompt="q", document_prompt="d"), Use("acme/small")):
        assert "prompts.update" not in _by_title(use)["LlamaIndex"].code


def test_a_folder_is_named_by_whoever_copies_it() -> None:
    for snippet in snippets(Use(None, COMMIT)):
        assert FOLDER in snippet.code and COMMIT not in snippet.code
        assert any(FOLDER in note for note in snippet.notes)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_prompts_stay_texts(text: str) -> None:
    use = Use(text, text, dtype=text, query_prompt=text, document_prompt=text)
    found = _by_title(use)
    model, embed = found["sentence-transformers"].code, found["LlamaIndex"].code
    for title in ("sentence-transformers", "LlamaIndex", "LangChain"):
        compile(found[title].code, title, "exec")
        assert len(ast.parse(found[title].code).body) == len(ast.parse(_by_title(Use("a", "b"))[title].code).body)
        assert "\u202e" not in found[title].code, "nothing turns the direction of reading"
    assert _calls(model)["encode_query"]["prompt"] == text
    assert _calls(model)["SentenceTransformer"][""] == [text]
    assert _calls(embed)["HuggingFaceEmbedding"]["text_instruction"] == text
    server = found["text-embeddings-inference"].code
    words = shlex.split(server)
    assert words[words.index("--model-id") + 1] == words[words.index("--revision") + 1] == text
    assert [request["inputs"] for request in _requests(server)] == [text + QUERY, text + DOCUMENT]


def test_prompts_are_chosen_as_the_engine_chooses_them() -> None:
    names = ("Retrieval-query", "Retrieval-document", "Retrieval", "query", "document", "passage", "corpus", "STS")
    for size in range(4):
        for chosen in itertools.combinations(names, size):
            own = {name: f"{name}: " for name in chosen}
            for query, document in ((None, None), ("", "mine: ")):
                spec = ModelSpec("acme/small", query_prompt=query, document_prompt=document)
                expected = tuple(find_prompt(spec, own, "", "Retrieval", role) for role in ("query", "document"))
                assert search_prompts(own, query, document) == expected, chosen


def test_prompts_that_are_no_texts_are_none() -> None:
    assert search_prompts({"query": 7, "document": ["x"], "Retrieval": None}, None, None) == ("", "")
