"""What a chat request may hold. The fields are OpenAI's; everything else is refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from service.chat.json_schemas import check_json_schema

MAX_MESSAGES = 256
MAX_TEXT_CHARS = 200_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_fields(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()}
        unknown = sorted(str(key)[:80] for key in value if key not in known)
        if unknown:
            raise PydanticCustomError(
                "unknown_field",
                "field {fields} is not accepted here; accepted are {known}",
                {
                    "fields": ", ".join(map(repr, unknown[:5])),
                    "known": ", ".join(sorted(known)),
                    "field": unknown[0],
                },
            )
        return value


class ImageUrl(_Strict):
    """An image as a `data:image/...;base64,` URL."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class TextPart(_Strict):
    """A piece of text."""

    type: Literal["text"]
    text: str = Field(max_length=MAX_TEXT_CHARS)


class ImagePart(_Strict):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(_Strict):
    """One turn of the conversation."""

    role: Literal["system", "user", "assistant"]
    content: Annotated[str, Field(max_length=MAX_TEXT_CHARS)] | list[Part]
    name: str | None = Field(default=None, max_length=64)

    @property
    def image_urls(self) -> Sequence[str]:
        """The URLs of its images."""
        if isinstance(self.content, str):
            return []
        return [part.image_url.url for part in self.content if isinstance(part, ImagePart)]


class JsonSchema(_Strict):
    """The JSON schema that an answer must fit."""

    name: str = Field(max_length=64)
    description: str | None = Field(default=None, max_length=1000)
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None

    @model_validator(mode="after")
    def _is_small(self) -> JsonSchema:
        check_json_schema(self.schema_)
        return self


class ResponseFormat(_Strict):
    """Free text, any JSON object, or JSON that fits a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise PydanticCustomError(
                "json_schema", "send json_schema together with type 'json_schema', and only then"
            )
        return self


class StreamOptions(_Strict):
    """What a stream carries besides the answer."""

    include_usage: bool = False


Stop = Annotated[str, Field(min_length=1, max_length=1000)]
Stops = Annotated[list[Stop], Field(max_length=4)]  # the engine's limit, as OpenAI's


class ChatCreate(_Strict):
    """A chat request. `model` is `stream`, `stream@7`, `stream@0` (its base) or `stream@alias`."""

    model: str = Field(min_length=1, max_length=200)
    messages: list[Message] = Field(min_length=1, max_length=MAX_MESSAGES)
    max_tokens: int | None = Field(default=None, ge=1, le=131_072)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=131_072)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    n: int | None = Field(default=None, ge=1, le=4)
    stop: Stop | Stops | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stream: bool = False
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    user: str | None = Field(default=None, max_length=200)

    @model_validator(mode="after")
    def _options_fit(self) -> ChatCreate:
        if self.stream_options is not None and not self.stream:
            raise _missing("stream_options", "stream")
        if self.top_logprobs and not self.logprobs:
            raise _missing("top_logprobs", "logprobs")
        return self


def _missing(field: str, needed: str) -> PydanticCustomError:
    return PydanticCustomError(
        "option_missing",
        "needs {needed}: true. Send it, or leave {field} out",
        {"field": field, "needed": needed},
    )


def request_schema() -> dict[str, Any]:
    """Return a chat request's JSON schema in one piece, without references."""
    schema = ChatCreate.model_json_schema()
    inlined: dict[str, Any] = _inlined(schema, schema.pop("$defs"))
    return inlined


def _inlined(node: Any, named: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, named) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(named[node["$ref"].removeprefix("#/$defs/")], named)
    return {k: _inlined(v, named) for k, v in node.items() if k != "discriminator"}


class ModelRead(BaseModel):
    """A name that `model` may have, and the version behind it now."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "retain"
    stream: str
    version: int
    digest: str
    aliases: list[str] = []


class ModelList(BaseModel):
    """All names that `model` may have."""

    object: Literal["list"] = "list"
    data: list[ModelRead]
