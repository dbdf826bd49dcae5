"""What several parts of the API answer with."""

from pydantic import BaseModel, Field


class FailureOut(BaseModel):
    """Why a run, an inspection or a validation failed.

    A stored failure may hold more, such as the beginning of a text; readers of the API need not be allowed to see it.
    """

    message: str
    remedy: str = Field("", description="What to do about it")
