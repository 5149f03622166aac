/* Whole pipelines. */
#pragma once

#include <gst/gst.h>

#include "frames.h"

/* A pipeline from a description, with the bundled model in the place of %s. */
static inline GstElement *pipeline_of(const gchar *description, const gchar *model) {
    g_autofree gchar *path = bundled(model);
    g_autofree gchar *text = g_strdup_printf(description, path);
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch_full(text, NULL, GST_PARSE_FLAG_FATAL_ERRORS, &error);
    if (error)
        g_error("%s", error->message);
    return pipeline;
}

/* Plays to the end and stops. Returns what went wrong, or NULL. */
static inline GError *play(GstElement *pipeline) {
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    GError *error = NULL;
    gboolean is_done = FALSE;
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while (!is_done) {
        GstMessage *message = gst_bus_timed_pop_filtered(
            bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_LATENCY);
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_LATENCY)
            gst_bin_recalculate_latency(GST_BIN(pipeline));
        else
            is_done = TRUE;
        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
            gst_message_parse_error(message, &error, NULL);
        gst_message_unref(message);
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    return error;
}

/* Calls a function for every buffer that goes through a pad of an element. */
static inline void watch(GstElement *pipeline, const gchar *element, const gchar *pad,
                         GstPadProbeCallback callback, gpointer data) {
    g_autoptr(GstElement) owner = gst_bin_get_by_name(GST_BIN(pipeline), element);
    g_autoptr(GstPad) watched = gst_element_get_static_pad(owner, pad);
    gst_pad_add_probe(watched, GST_PAD_PROBE_TYPE_BUFFER, callback, data, NULL);
}
