from pydantic import BaseModel

from offload import JobContext, job


class Greeting(BaseModel):
    text: str
    attempt: int


@job(timeout=10, max_tries=3)
async def greet(ctx: JobContext, name: str) -> Greeting:
    """Greet somebody."""
    ctx.progress(0.5, "looking for words")
    return Greeting(text=f"Hello, {name}!", attempt=ctx.attempt)
