"""A web service that denoises uploaded pictures.

pip install fastapi uvicorn python-multipart
uvicorn --app-dir examples denoise_service:app
curl -F picture=@noisy.jpg "localhost:8000/denoise?strength=0.8" -o clean.png
curl -F picture=@noisy.jpg localhost:8000/noise-level
"""

from contextlib import asynccontextmanager

import cv2
import numpy as np
from fastapi import FastAPI, HTTPException, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

import hyperguide

MOST_BYTES = 20_000_000
MOST_PIXELS = 24_000_000
models = {}


@asynccontextmanager
async def lifespan(app: FastAPI):
    with hyperguide.load("denoise", at_once=2) as enhancer:  # one model for all requests
        models["denoise"] = enhancer
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/denoise")
async def denoise(picture: UploadFile, strength: float = 1.0) -> Response:
    result = await enhanced(picture, strength)
    _, png = cv2.imencode(".png", cv2.cvtColor(result.image, cv2.COLOR_RGB2BGR))
    return Response(png.tobytes(), media_type="image/png")


@app.post("/noise-level")
async def noise_level(picture: UploadFile) -> dict[str, float]:
    result = await enhanced(picture, 1.0)
    return {"levels_of_255": 255 * float(result.guidance.mean())}


async def enhanced(picture: UploadFile, strength: float) -> hyperguide.Result:
    content = await picture.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise HTTPException(413, f"The picture has more than {MOST_BYTES} bytes.")
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None or decoded.size > 3 * MOST_PIXELS:
        raise HTTPException(400, "This is no picture, or a too large one.")
    try:
        image = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
        return await run_in_threadpool(models["denoise"], image, strength=strength)
    except hyperguide.HyperguideError as error:  # strength below 0, say
        raise HTTPException(400, str(error)) from error
