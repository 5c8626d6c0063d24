"""`GET /api/v1/statistics/chapters`: what the current release has in each chapter."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from app.api.requests import deadline_of, json_response, only, service_of
from app.db import statistics
from app.openapi import Answer, operation
from app.problems import unavailable


class ChapterStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The codes of a chapter: all, those that are billable, and all by kind."""

    chapter: int
    title: str
    codes: int
    billable: int
    categories: int
    subcategories: int
    extensions: int


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """The chapters of the current release, in order, and the sums over them."""

    release: str
    codes: int
    billable: int
    chapters: list[ChapterStatistics]


@operation(tag="statistics", answers={200: Answer(Statistics)})
async def get_chapters(request: Request) -> Response:
    """Answer with the number of codes in each chapter of the current release."""
    only(request)
    counted = await service_of(request).router.read(statistics.by_chapter, deadline_of(request))
    if not counted:
        raise unavailable("no release is loaded")
    return json_response(
        Statistics(
            release=counted[0].release,
            codes=sum(chapter.codes for chapter in counted),
            billable=sum(chapter.billable for chapter in counted),
            chapters=[
                ChapterStatistics(
                    chapter=chapter.chapter,
                    title=chapter.title,
                    codes=chapter.codes,
                    billable=chapter.billable,
                    categories=chapter.categories,
                    subcategories=chapter.subcategories,
                    extensions=chapter.extensions,
                )
                for chapter in counted
            ],
        )
    )
