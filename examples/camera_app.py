"""A camera app: the newest frame, denoised, with a slider for the strength.

python examples/camera_app.py [camera:0 | rtsp://... | film.mp4]

Q quits, M shows what the network found, S saves the picture.
"""

import sys
import threading

import cv2

import hyperguide

WINDOW = "camera"


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else "camera:0"
    loading = Loading("denoise")
    cv2.namedWindow(WINDOW)
    cv2.createTrackbar("strength %", WINDOW, 100, 150, lambda value: None)
    shows_map = False
    with hyperguide.camera(source) as camera:
        for frame in camera:
            picture, stream = frame.image, loading.stream
            if stream is not None:  # until the model is there, frames pass as they are
                strength = cv2.getTrackbarPos("strength %", WINDOW) / 100
                result = stream(picture, strength=strength)
                picture = result.image
                if shows_map and result.guidance is not None:
                    most = loading.enhancer.info.guidance.maximum
                    levels = (255 * result.guidance / most).clip(0, 255).astype("uint8")
                    picture = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1]
            words = f"{1000 * camera.age:.0f} ms old, {camera.dropped} dropped"
            shown = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
            cv2.putText(shown, words, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255))
            cv2.imshow(WINDOW, shown)
            key = cv2.waitKey(1) & 0xFF
            if key == ord("q"):
                break
            if key == ord("m"):
                shows_map = not shows_map
            if key == ord("s"):
                cv2.imwrite("camera.png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


class Loading:
    """A model that loads in the background, so that the camera starts at once."""

    def __init__(self, task: str) -> None:
        self.stream = None
        self._task = task
        threading.Thread(target=self._load, daemon=True).start()

    def _load(self) -> None:
        self.enhancer = hyperguide.load(self._task, precision="int8")
        self.stream = self.enhancer.stream()


if __name__ == "__main__":
    main()
