/* Frames of GStreamer as pictures of the library, and maps as frames. */
#pragma once

#include <gst/video/video.h>
#include <hyperguide.h>

/* The formats that the library takes, for caps. */
#define PICTURE_FORMATS "{ NV12, I420, P010_10LE, BGR, RGB, RGBA }"
#define YUV_FORMATS "{ NV12, I420, P010_10LE }"

/* The same pixels, as long as the frame is mapped. */
hg_picture picture_of(const GstVideoFrame *frame);

/* Replaces a picture by a map, one value for each pixel: black is the minimum, white the maximum.
 * Alpha is kept. */
void draw_map(GstVideoFrame *frame, const float *values, float minimum, float maximum);
