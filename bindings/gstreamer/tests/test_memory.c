/* What is remembered of the frames so far, and when it is forgotten: the result of a frame tells
 * which frames came before it. */
#include "check.h"
#include "frames.h"

#define CAPS "video/x-raw,format=RGB,width=96,height=64,framerate=25/1"
#define OTHER_CAPS "video/x-raw,format=RGB,width=96,height=64,framerate=30/1"

/* The first frames are not averaged yet: some more show whether they are. */
enum { LAST = 6, NONE = -1 };

/* Pushes frames up to one before the last, but for one. */
static void push_frames(GstHarness *harness, gint omitted) {
    for (gint i = 0; i < LAST; i++)
        if (i != omitted)
            gst_buffer_unref(enhanced(harness, noisy_frame(CAPS, i)));
}

static GstBuffer *last_frame(GstHarness *harness) {
    return enhanced(harness, noisy_frame(CAPS, LAST));
}

static GstHarness *harness_after_frames(void) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    push_frames(harness, NONE);
    return harness;
}

/* Checks whether the last frame gives what it gives as the first one. */
static void check_that(gboolean is_reset, GstBuffer *result) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    GstBuffer *alone = last_frame(harness);
    CHECK(is_same(result, alone) == is_reset);
    gst_buffer_unref(alone);
    gst_buffer_unref(result);
    gst_harness_teardown(harness);
}

/* The last frame after the others, if that is how much is remembered. */
static GstBuffer *remembered(gboolean temporal, gdouble smooth) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    gst_element_set_state(harness->element, GST_STATE_READY);
    g_object_set(harness->element, "temporal", temporal, "smooth", smooth, NULL);
    gst_element_set_state(harness->element, GST_STATE_PLAYING);
    gst_harness_set_caps_str(harness, CAPS, CAPS);
    push_frames(harness, NONE);
    GstBuffer *result = last_frame(harness);
    gst_harness_teardown(harness);
    return result;
}

static void frames_are_averaged_and_maps_are_smoothed_unless_turned_off(void) {
    check_that(FALSE, remembered(TRUE, -1));
    check_that(FALSE, remembered(TRUE, 0));
    check_that(FALSE, remembered(FALSE, -1));
    check_that(TRUE, remembered(FALSE, 0));
}

/* The last frame at another time, marked as a discontinuity. */
static GstBuffer *last_frame_at(GstHarness *harness, GstClockTime time) {
    GstBuffer *frame = noisy_frame(CAPS, LAST);
    GST_BUFFER_PTS(frame) = time;
    GST_BUFFER_FLAG_SET(frame, GST_BUFFER_FLAG_DISCONT);
    return enhanced(harness, frame);
}

static void a_discontinuity_resets_if_time_goes_back_or_jumps(void) {
    const struct {
        GstClockTime time;
        gboolean resets;
    } cases[] = {
        {LAST * FRAME_TIME, FALSE},
        {(LAST - 1) * FRAME_TIME + GST_SECOND, FALSE}, /* frames were dropped */
        {(LAST - 1) * FRAME_TIME + GST_SECOND + 1, TRUE},
        {(LAST - 2) * FRAME_TIME, TRUE},
        {GST_CLOCK_TIME_NONE, TRUE},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        GstHarness *harness = harness_after_frames();
        check_that(cases[i].resets, last_frame_at(harness, cases[i].time));
        gst_harness_teardown(harness);
    }
}

static void a_new_segment_resets(void) {
    GstHarness *harness = harness_after_frames();
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(harness, gst_event_new_segment(&segment));
    check_that(TRUE, last_frame(harness));
    gst_harness_teardown(harness);
}

static void a_flush_resets(void) {
    GstHarness *harness = harness_after_frames();
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(harness, gst_event_new_flush_start());
    gst_harness_push_event(harness, gst_event_new_flush_stop(TRUE));
    gst_harness_push_event(harness, gst_event_new_segment(&segment));
    check_that(TRUE, last_frame(harness));
    gst_harness_teardown(harness);
}

/* The library would notice another size by itself. */
static void new_caps_reset_even_if_the_size_is_the_same(void) {
    GstHarness *harness = harness_after_frames();
    g_autoptr(GstCaps) caps = gst_caps_from_string(OTHER_CAPS);
    gst_harness_set_sink_caps(harness, gst_caps_ref(caps));
    CHECK(gst_harness_push_event(harness, gst_event_new_caps(caps)));
    check_that(TRUE, last_frame(harness));
    gst_harness_teardown(harness);
}

static void a_restart_resets(void) {
    GstHarness *harness = harness_after_frames();
    gst_element_set_state(harness->element, GST_STATE_READY);
    gst_element_set_state(harness->element, GST_STATE_PLAYING);
    gst_harness_set_caps_str(harness, CAPS, CAPS);
    check_that(TRUE, last_frame(harness));
    gst_harness_teardown(harness);
}

/* Says downstream that everything up to a frame is late. */
static void be_late(GstHarness *harness, gint number) {
    gst_harness_push_upstream_event(
        harness, gst_event_new_qos(GST_QOS_TYPE_UNDERFLOW, 2, 0, number * FRAME_TIME));
}

/* A harness that was given all frames but the last, which is late. */
static GstHarness *harness_after_late_frame(gboolean is_another_scene) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    push_frames(harness, LAST - 1);
    be_late(harness, LAST - 1);
    GstBuffer *frame = noisy_frame(CAPS, LAST - 1);
    if (is_another_scene) {
        GST_BUFFER_PTS(frame) = 0;
        GST_BUFFER_FLAG_SET(frame, GST_BUFFER_FLAG_DISCONT);
    }
    CHECK(gst_harness_push(harness, frame) == GST_FLOW_OK);
    CHECK(gst_harness_buffers_in_queue(harness) == 0);
    return harness;
}

static void late_frames_are_dropped_and_not_remembered(void) {
    GstHarness *harness = harness_after_late_frame(FALSE), *without = harness_of(MODEL, CAPS);
    GstHarness *with = harness_after_frames();
    push_frames(without, LAST - 1);
    GstBuffer *result = last_frame(harness), *expected = last_frame(without);
    GstBuffer *other = last_frame(with);
    CHECK(is_same(result, expected));
    CHECK(!is_same(result, other));
    gst_buffer_unref(result);
    gst_buffer_unref(expected);
    gst_buffer_unref(other);
    gst_harness_teardown(harness);
    gst_harness_teardown(without);
    gst_harness_teardown(with);
}

static void a_discontinuity_resets_even_if_its_frame_is_dropped(void) {
    GstHarness *harness = harness_after_late_frame(TRUE);
    check_that(TRUE, last_frame(harness));
    gst_harness_teardown(harness);
}

int main(int count, char **arguments) {
    gst_init(&count, &arguments);
    frames_are_averaged_and_maps_are_smoothed_unless_turned_off();
    a_discontinuity_resets_if_time_goes_back_or_jumps();
    a_new_segment_resets();
    a_flush_resets();
    new_caps_reset_even_if_the_size_is_the_same();
    a_restart_resets();
    late_frames_are_dropped_and_not_remembered();
    a_discontinuity_resets_even_if_its_frame_is_dropped();
    return failures > 0;
}
