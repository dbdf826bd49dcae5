"""Code that uses a model outside of Touchstone exactly as one of its variants was measured here.

Every text that comes from a model goes through `repr`, JSON or `shlex.quote`, so that no name and no prompt can leave
its quotation marks. Parameter names are those of sentence-transformers 6, llama-index-embeddings-huggingface 0.8,
langchain-huggingface 1.2 and text-embeddings-inference 1.9.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

QUERY, DOCUMENT = "How do I reset the sensor?", "Hold the button for ten seconds."
FOLDER = "path/to/the/folder"
"""What stands for a model that is a folder: where it lies on a worker's disk is nobody's business."""

_SERVER = "ghcr.io/huggingface/text-embeddings-inference:cpu-1.9"
_SERVER_DTYPES = ("float32", "float16")
_OWN_PROMPTS = ("BAAI/bge-", "hkunlp/instructor-", "hku-nlp/instructor-")
"""Models to which LlamaIndex gives a prompt of its own where none is given."""
_DOCUMENT_NAMES = ("document", "passage", "corpus")


@dataclass(frozen=True, slots=True)
class Use:
    """How a variant was measured.

    Attributes:
        name: on the hub, `org/name`; None for a folder.
        revision: a commit; empty if unknown.
        dtype: what it computes in.
        precision: what its vectors are compared as: float32, int8, uint8 or binary.
        truncate_dim: None for whole vectors.
        max_tokens: the variant's own limit; None for the model's.
        similarity: the model's own, such as cosine.
        query_prompt: the very text before a query; "" for none.
        document_prompt: likewise.
    """

    name: str | None
    revision: str = ""
    dtype: str = "float32"
    precision: str = "float32"
    truncate_dim: int | None = None
    max_tokens: int | None = None
    similarity: str = "cosine"
    query_prompt: str = ""
    document_prompt: str = ""


@dataclass(frozen=True, slots=True)
class Snippet:
    """Code for one library; `notes` say where it cannot do what was measured."""

    title: str
    code: str
    notes: tuple[str, ...] = ()


def search_prompts(prompts: Mapping[str, Any], query: str | None, document: str | None) -> tuple[str, str]:
    """The prompts of a search for queries and for documents, "" for none; the engine chooses by the same rule.

    Args:
        prompts: the model's by name; what is no text is none.
        query: the variant's own; None for the model's.
        document: likewise.

    Example:
        >>> search_prompts({"query": "query: ", "passage": "passage: "}, None, "")
        ('query: ', '')
    """
    return (
        _prompt(prompts, query, "query", ("query",)),
        _prompt(prompts, document, "document", _DOCUMENT_NAMES),
    )


def snippets(use: Use) -> tuple[Snippet, ...]:
    """Code for sentence-transformers, LlamaIndex, LangChain and text-embeddings-inference."""
    return (_sentence_transformers(use), _llama_index(use), _langchain(use), _inference_server(use))


def _prompt(prompts: Mapping[str, Any], explicit: str | None, role: str, names: tuple[str, ...]) -> str:
    if explicit is not None:
        return explicit
    texts = {name: text for name, text in prompts.items() if isinstance(text, str)}
    for name in (f"Retrieval-{role}", "Retrieval"):
        if name in texts:
            return texts[name]
    return next((texts[name] for name in names if texts.get(name)), "")


def _sentence_transformers(use: Use) -> Snippet:
    imports = {"float32": "", "binary": ""}.get(use.precision, ", quantize_embeddings")
    lines = [
        "# pip install sentence-transformers",
        *(["import numpy as np"] if use.precision != "float32" else []),
        f"from sentence_transformers import SentenceTransformer{imports}",
        "",
        "model = SentenceTransformer(",
        *_arguments({None: _place(use), **_loading(use)}),
        ")",
        *([f"model.max_seq_length = {use.max_tokens}"] if use.max_tokens else []),
        "",
        f"queries = model.encode_query([{QUERY!r}], prompt={use.query_prompt!r})",
        f"documents = model.encode_document([{DOCUMENT!r}], prompt={use.document_prompt!r})",
        *_quantised(use.precision),
        "print(model.similarity(queries, documents))",
    ]
    return Snippet("sentence-transformers", _joined(lines), _folder_note(use))


def _quantised(precision: str) -> list[str]:
    """Lines that turn the vectors into the codes that were compared."""
    if precision == "float32":
        return []
    if precision == "binary":
        return ["queries, documents = (np.where(part > 0, 1, -1).astype('float32') for part in (queries, documents))"]
    return [
        "ranges = np.stack([documents.min(axis=0), documents.max(axis=0)])  # of all your documents",
        f"codes = [quantize_embeddings(part, {precision!r}, ranges=ranges) for part in (queries, documents)]",
        "queries, documents = (part.astype('float32') for part in codes)",
    ]


def _llama_index(use: Use) -> Snippet:
    arguments: dict[str | None, Any] = {"model_name": _place(use), **_loading(use)}
    arguments |= {"query_instruction": use.query_prompt, "text_instruction": use.document_prompt}
    if use.max_tokens:
        arguments["max_length"] = use.max_tokens
    if use.similarity != "cosine":
        arguments["normalize"] = False
    lines = [
        "# pip install llama-index-embeddings-huggingface",
        "from llama_index.embeddings.huggingface import HuggingFaceEmbedding",
        "",
        "embed_model = HuggingFaceEmbedding(",
        *_arguments(arguments),
        ")",
        *_without_own_prompts(use),
        f"query = embed_model.get_query_embedding({QUERY!r})",
        f"document = embed_model.get_text_embedding({DOCUMENT!r})",
    ]
    return Snippet("LlamaIndex", _joined(lines), (*_folder_note(use), *_precision_note(use)))


def _without_own_prompts(use: Use) -> list[str]:
    if (use.query_prompt and use.document_prompt) or not (use.name or "").startswith(_OWN_PROMPTS):
        return []
    prompts = {"query": use.query_prompt, "text": use.document_prompt}
    return [f"embed_model._model.prompts.update({prompts!r})  # else LlamaIndex adds one of its own"]


def _langchain(use: Use) -> Snippet:
    arguments: dict[str | None, Any] = {
        "model_name": _place(use),
        "model_kwargs": _loading(use),
        "encode_kwargs": {"prompt": use.document_prompt, "task": "document"},
        "query_encode_kwargs": {"prompt": use.query_prompt, "task": "query"},
    }
    limit = f"embeddings._client.max_seq_length = {use.max_tokens}  # there is no parameter for it"
    lines = [
        "# pip install langchain-huggingface sentence-transformers",
        "from langchain_huggingface import HuggingFaceEmbeddings",
        "",
        "embeddings = HuggingFaceEmbeddings(",
        *_arguments(arguments),
        ")",
        *([limit] if use.max_tokens else []),
        f"query = embeddings.embed_query({QUERY!r})",
        f"documents = embeddings.embed_documents([{DOCUMENT!r}])",
    ]
    breaks = "LangChain turns the line breaks of a text into spaces; here they were kept."
    return Snippet("LangChain", _joined(lines), (*_folder_note(use), *_precision_note(use), breaks))


def _inference_server(use: Use) -> Snippet:
    dtype = use.dtype if use.dtype in _SERVER_DTYPES else _SERVER_DTYPES[0]
    mount = '-v "$PWD/models:/data"' if use.name else f'-v "$PWD/{FOLDER}:/model:ro"'
    model = ["--model-id", use.name or "/model", "--dtype", dtype]
    if use.name and use.revision:
        model += ["--revision", use.revision]
    lines = [
        f"docker run --rm -p 8080:80 {mount} {_SERVER} \\",
        f"  {shlex.join(model)}",
        "",
        *_request(use, use.query_prompt + QUERY),
        *_request(use, use.document_prompt + DOCUMENT),
    ]
    notes = [*_folder_note(use), *_precision_note(use)]
    if use.query_prompt or use.document_prompt:
        notes.append("The prompt is a part of the text that is sent: the server has one prompt for all texts at most.")
    if dtype != use.dtype:
        notes.append(f"It does not compute in {use.dtype}; {dtype} is the nearest.")
    if use.max_tokens:
        notes.append(f"Its limit is the model's own; here {use.max_tokens:,} tokens of a text were read.")
    if use.similarity != "cosine":
        notes.append("It leaves out a last step that normalises: set normalize to true if modules.json names one.")
    notes.append("For a GPU, take the image cuda-1.9 and add --gpus all.")
    return Snippet("text-embeddings-inference", _joined(lines), tuple(notes))


def _request(use: Use, text: str) -> list[str]:
    body: dict[str, Any] = {"inputs": text, "truncate": True}
    if use.truncate_dim:
        body["dimensions"] = use.truncate_dim
    if use.similarity != "cosine":
        body["normalize"] = False
    written = json.dumps(body, ensure_ascii=not text.isprintable())
    return [
        "curl http://127.0.0.1:8080/embed -H 'Content-Type: application/json' \\",
        f"  -d {shlex.quote(written)}",
    ]


def _place(use: Use) -> str:
    return use.name or FOLDER


def _loading(use: Use) -> dict[str | None, Any]:
    """The arguments with which a SentenceTransformer is what was measured."""
    arguments: dict[str | None, Any] = {}
    if use.name and use.revision:
        arguments["revision"] = use.revision
    if use.truncate_dim:
        arguments["truncate_dim"] = use.truncate_dim
    return {**arguments, "model_kwargs": {"dtype": use.dtype}}


def _arguments(arguments: Mapping[str | None, Any]) -> list[str]:
    """One argument a line; the name None stands for one without."""
    return [f"    {f'{name}=' if name else ''}{value!r}," for name, value in arguments.items()]


def _folder_note(use: Use) -> tuple[str, ...]:
    return () if use.name else (f"The model is a folder: write where yours lies in place of {FOLDER}.",)


def _precision_note(use: Use) -> tuple[str, ...]:
    if use.precision == "float32":
        return ()
    return (f"The vectors come as float32; have your index turn them into {use.precision}, which was measured.",)


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
