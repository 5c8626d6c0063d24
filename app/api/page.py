"""`GET /`: one page that searches as one types.

Everything that it needs is in it. Its policy lets a browser run this script and this style, by their digests, ask
this service, and nothing else.
"""

import base64
import hashlib
import re
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app.openapi import Answer, operation

_PAGE = files("app.api").joinpath("page.html").read_text(encoding="utf-8")


def _digest_of(element: str) -> str:
    """Return the source of a policy that allows what the page has in its one such element."""
    (content,) = re.findall(rf"<{element}>(.*?)</{element}>", _PAGE, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; script-src {_digest_of('script')}; style-src {_digest_of('style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "cache-control": "max-age=300",
}


@operation(tag="page", answers={200: Answer(str, "text/html; charset=utf-8")})
async def get_page(request: Request) -> Response:
    """Give the page for people: a field that searches as one types."""
    del request
    return HTMLResponse(_PAGE, headers=_HEADERS)
