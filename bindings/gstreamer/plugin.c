/* The plugin, which has one element. */
#include "gsthyperguide.h"

static gboolean plugin_init(GstPlugin *plugin) {
    return GST_ELEMENT_REGISTER(hyperguide, plugin);
}

GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, hyperguide,
                  "Guided enhancement of video: noise, blur, rain and haze", plugin_init, VERSION,
                  "Apache 2.0", PACKAGE, "Unknown package origin")
