"""The camera, live."""

from fastapi import APIRouter

router = APIRouter()
