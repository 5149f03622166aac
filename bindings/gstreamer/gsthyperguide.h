/* The element `hyperguide`, a video filter. */
#pragma once

#include <gst/video/gstvideofilter.h>

#define GST_TYPE_HYPERGUIDE (gst_hyperguide_get_type())
G_DECLARE_FINAL_TYPE(GstHyperguide, gst_hyperguide, GST, HYPERGUIDE, GstVideoFilter)

GST_ELEMENT_REGISTER_DECLARE(hyperguide)
