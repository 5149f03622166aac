/* What can be changed while frames flow, and what cannot. */
#include <gst/controller/gstdirectcontrolbinding.h>
#include <gst/controller/gstinterpolationcontrolsource.h>

#include "check.h"
#include "frames.h"

#define CAPS "video/x-raw,format=NV12,width=96,height=64,framerate=25/1"

/* Pushes frame `number`; returns whether it came out as it went in. */
static gboolean comes_out_unchanged(GstHarness *harness, guint number) {
    GstBuffer *frame = noisy_frame(CAPS, number);
    GstBuffer *result = enhanced(harness, noisy_frame(CAPS, number));
    const gboolean is_unchanged = is_same(frame, result);
    CHECK(GST_BUFFER_PTS(result) == GST_BUFFER_PTS(frame));
    CHECK(GST_BUFFER_DURATION(result) == GST_BUFFER_DURATION(frame));
    gst_buffer_unref(frame);
    gst_buffer_unref(result);
    return is_unchanged;
}

static void strength_takes_effect_on_the_next_frame(void) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    guint number = 0;
    for (gint i = 0; i < 3; i++) {
        g_object_set(harness->element, "strength", 1.0, NULL);
        CHECK(!comes_out_unchanged(harness, number++));
        g_object_set(harness->element, "strength", 0.0, NULL);
        CHECK(comes_out_unchanged(harness, number++));
    }
    gst_harness_teardown(harness);
}

static void at_strength_0_buffers_are_passed_on_without_a_copy(void) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    g_object_set(harness->element, "strength", 0.0, NULL);
    GstBuffer *frame = noisy_frame(CAPS, 0);
    GstBuffer *result = enhanced(harness, gst_buffer_ref(frame));
    CHECK(result == frame);
    CHECK(gst_base_transform_is_passthrough(GST_BASE_TRANSFORM(harness->element)));
    gst_buffer_unref(result);
    gst_buffer_unref(frame);
    g_object_set(harness->element, "show-guidance", TRUE, NULL);
    CHECK(!comes_out_unchanged(harness, 1));
    CHECK(!gst_base_transform_is_passthrough(GST_BASE_TRANSFORM(harness->element)));
    gst_harness_teardown(harness);
}

static void buffers_that_others_hold_are_not_written_to(void) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    GstBuffer *frame = noisy_frame(CAPS, 0), *copy = noisy_frame(CAPS, 0);
    GstBuffer *result = enhanced(harness, gst_buffer_ref(frame));
    CHECK(is_same(frame, copy));
    CHECK(!is_same(frame, result));
    gst_buffer_unref(result);
    gst_buffer_unref(copy);
    gst_buffer_unref(frame);
    gst_harness_teardown(harness);
}

static void a_controller_changes_the_strength_over_time(void) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    GstControlSource *source = gst_interpolation_control_source_new();
    g_object_set(source, "mode", GST_INTERPOLATION_MODE_NONE, NULL);
    gst_object_add_control_binding(
        GST_OBJECT(harness->element),
        gst_direct_control_binding_new_absolute(GST_OBJECT(harness->element), "strength", source));
    GstTimedValueControlSource *values = GST_TIMED_VALUE_CONTROL_SOURCE(source);
    gst_timed_value_control_source_set(values, 0, 0);
    gst_timed_value_control_source_set(values, 2 * FRAME_TIME, 1.5);
    gst_timed_value_control_source_set(values, 4 * FRAME_TIME, 0);
    const gboolean expected[] = {TRUE, TRUE, FALSE, FALSE, TRUE};
    for (guint i = 0; i < G_N_ELEMENTS(expected); i++)
        CHECK(comes_out_unchanged(harness, i) == expected[i]);
    gst_object_unref(source);
    gst_harness_teardown(harness);
}

/* The second of two frames, with a property set before it. */
static GstBuffer *second_frame(const gchar *property, gdouble value) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    gst_element_set_state(harness->element, GST_STATE_READY);
    g_object_set(harness->element, "temporal", FALSE, NULL); /* or frames would be averaged */
    gst_element_set_state(harness->element, GST_STATE_PLAYING);
    gst_buffer_unref(enhanced(harness, noisy_frame(CAPS, 0)));
    g_object_set(harness->element, property, value, NULL);
    GstBuffer *result = enhanced(harness, noisy_frame(CAPS, 1));
    gst_harness_teardown(harness);
    return result;
}

static void every_dial_changes_the_next_frame(void) {
    GstBuffer *plain = second_frame("strength", 1), *weak = second_frame("strength", 0.5);
    GstBuffer *scaled = second_frame("guidance-scale", 2);
    GstBuffer *rough = second_frame("smooth", 0), *usual = second_frame("smooth", -1);
    CHECK(!is_same(plain, weak));
    CHECK(!is_same(plain, scaled));
    CHECK(!is_same(plain, rough));
    CHECK(is_same(plain, usual));
    gst_buffer_unref(plain);
    gst_buffer_unref(weak);
    gst_buffer_unref(scaled);
    gst_buffer_unref(rough);
    gst_buffer_unref(usual);
}

static void ignore(const gchar *domain, GLogLevelFlags level, const gchar *message,
                   gpointer count) {
    (void)domain, (void)level;
    *(gint *)count += strstr(message, "states NULL and READY") != NULL;
}

static void the_model_is_not_changed_while_playing(void) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    gint warnings = 0;
    gchar *model = NULL;
    GLogFunc before = g_log_set_default_handler(ignore, &warnings);
    g_object_set(harness->element, "model", "/another.onnx", "threads", 7, NULL);
    g_log_set_default_handler(before, NULL);
    CHECK(warnings == 2);
    g_object_get(harness->element, "model", &model, NULL);
    CHECK(g_str_has_suffix(model, MODEL));
    g_free(model);
    CHECK(gst_element_set_state(harness->element, GST_STATE_READY) == GST_STATE_CHANGE_SUCCESS);
    g_object_set(harness->element, "model", "/another.onnx", NULL);
    CHECK(gst_element_set_state(harness->element, GST_STATE_PAUSED) == GST_STATE_CHANGE_FAILURE);
    gst_harness_teardown(harness);
}

int main(int count, char **arguments) {
    gst_init(&count, &arguments);
    strength_takes_effect_on_the_next_frame();
    at_strength_0_buffers_are_passed_on_without_a_copy();
    buffers_that_others_hold_are_not_written_to();
    a_controller_changes_the_strength_over_time();
    every_dial_changes_the_next_frame();
    the_model_is_not_changed_while_playing();
    return failures > 0;
}
