/* A frame that takes long is not waited for.
 *
 * Only a frame that was finished is measured and makes the element post its latency: that is how
 * these tests tell whether it was. */
#include "check.h"
#include "frames.h"

#define CAPS "video/x-raw,format=RGB,width=1600,height=1200,framerate=25/1"

static gboolean was_finished(GstBus *bus) {
    g_autoptr(GstMessage) message =
        gst_bus_pop_filtered(bus, GST_MESSAGE_LATENCY | GST_MESSAGE_ERROR);
    CHECK(!message || GST_MESSAGE_TYPE(message) != GST_MESSAGE_ERROR);
    return message != NULL;
}

static gpointer push(gpointer harness) {
    return GINT_TO_POINTER(gst_harness_push(harness, noisy_frame(CAPS, 1)));
}

static GstPadProbeReturn note_arrival(GstPad *pad, GstPadProbeInfo *info, gpointer arrived) {
    (void)pad, (void)info;
    g_atomic_int_set((gint *)arrived, TRUE);
    return GST_PAD_PROBE_OK;
}

static void flush(GstHarness *harness) {
    gst_harness_push_event(harness, gst_event_new_flush_start());
}

static void get_ready(GstHarness *harness) {
    gst_element_set_state(harness->element, GST_STATE_READY);
}

static void dispose(GstHarness *harness) {
    gst_element_set_bus(harness->element, NULL);
    gst_harness_teardown(harness);
}

/* Interrupts an element when a part of the time of a frame has passed. */
static GstHarness *interrupted_after(gint part, void (*interrupt)(GstHarness *), GstBus *bus) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    gst_element_set_bus(harness->element, bus);
    GstBuffer *frame = noisy_frame(CAPS, 0);
    const gint64 begin = g_get_monotonic_time();
    gst_buffer_unref(enhanced(harness, frame));
    const gint64 whole = g_get_monotonic_time() - begin;
    CHECK(was_finished(bus));
    get_ready(harness); /* forgets the latency */
    gst_element_set_state(harness->element, GST_STATE_PLAYING);
    gst_harness_set_caps_str(harness, CAPS, CAPS);
    gint has_arrived = FALSE;
    gst_pad_add_probe(GST_BASE_TRANSFORM_SINK_PAD(harness->element), GST_PAD_PROBE_TYPE_BUFFER,
                      note_arrival, &has_arrived, NULL);
    GThread *thread = g_thread_new("push", push, harness);
    while (!g_atomic_int_get(&has_arrived))
        g_usleep(100);
    g_usleep(whole / part);
    interrupt(harness);
    const GstFlowReturn flow = GPOINTER_TO_INT(g_thread_join(thread));
    CHECK(flow == GST_FLOW_FLUSHING || flow == GST_FLOW_OK); /* OK: the frame was faster */
    return harness;
}

/* An element that was interrupted in the middle of a frame. On a busy machine it takes several
 * tries to meet one. */
static GstHarness *interrupted(void (*interrupt)(GstHarness *), GstBus *bus) {
    GstHarness *harness = interrupted_after(2, interrupt, bus);
    for (gint part = 4; part <= 32 && was_finished(bus); part *= 2) {
        dispose(harness);
        harness = interrupted_after(part, interrupt, bus);
    }
    CHECK(!was_finished(bus));
    return harness;
}

static void a_flush_stops_the_frame_in_progress_but_not_those_after_it(void) {
    g_autoptr(GstBus) bus = gst_bus_new();
    GstHarness *harness = interrupted(flush, bus);
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_harness_push_event(harness, gst_event_new_flush_stop(TRUE));
    gst_harness_push_event(harness, gst_event_new_segment(&segment));
    gst_buffer_unref(enhanced(harness, noisy_frame(CAPS, 2)));
    CHECK(was_finished(bus));
    dispose(harness);
}

static void stopping_stops_the_frame_in_progress(void) {
    g_autoptr(GstBus) bus = gst_bus_new();
    dispose(interrupted(get_ready, bus));
}

int main(int count, char **arguments) {
    gst_init(&count, &arguments);
    a_flush_stops_the_frame_in_progress_but_not_those_after_it();
    stopping_stops_the_frame_in_progress();
    return failures > 0;
}
