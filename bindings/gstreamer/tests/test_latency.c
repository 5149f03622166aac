/* The element adds the time that it takes to the latency of a pipeline. */
#include "check.h"
#include "frames.h"

#define CAPS "video/x-raw,format=RGB,width=96,height=64,framerate=25/1"
#define UPSTREAM_LEAST (40 * GST_MSECOND)
#define UPSTREAM_MOST (70 * GST_MSECOND)

/* The number of latency messages since the last call. */
static gint messages(GstBus *bus) {
    gint count = 0;
    GstMessage *message;
    while ((message = gst_bus_pop_filtered(bus, GST_MESSAGE_LATENCY))) {
        count++;
        gst_message_unref(message);
    }
    return count;
}

/* Answers for a live source. */
static gboolean answer(GstPad *pad, GstObject *parent, GstQuery *query) {
    if (GST_QUERY_TYPE(query) != GST_QUERY_LATENCY)
        return gst_pad_query_default(pad, parent, query);
    gst_query_set_latency(query, TRUE, UPSTREAM_LEAST, UPSTREAM_MOST);
    return TRUE;
}

static void query(GstHarness *harness, GstClockTime *least, GstClockTime *most) {
    GstPad *pad = gst_element_get_static_pad(harness->element, "src");
    GstQuery *query = gst_query_new_latency();
    CHECK(gst_pad_query(pad, query));
    gst_query_parse_latency(query, NULL, least, most);
    gst_query_unref(query);
    gst_object_unref(pad);
}

static void the_time_of_a_frame_is_added_and_told(void) {
    GstClockTime least, most;
    GstHarness *harness = harness_of(MODEL, CAPS);
    g_autoptr(GstBus) bus = gst_bus_new();
    gst_element_set_bus(harness->element, bus);
    gst_pad_set_query_function(harness->srcpad, answer);
    g_object_set(harness->element, "strength", 0.0, NULL);
    gst_buffer_unref(enhanced(harness, noisy_frame(CAPS, 0)));
    query(harness, &least, &most);
    CHECK(least == UPSTREAM_LEAST && most == UPSTREAM_MOST);
    CHECK(messages(bus) == 0);

    g_object_set(harness->element, "strength", 1.0, NULL);
    const GstClockTime begin = gst_util_get_timestamp();
    gst_buffer_unref(enhanced(harness, noisy_frame(CAPS, 1)));
    const GstClockTime elapsed = gst_util_get_timestamp() - begin;
    query(harness, &least, &most);
    CHECK(least > UPSTREAM_LEAST && least <= UPSTREAM_LEAST + elapsed);
    CHECK(most - least == UPSTREAM_MOST - UPSTREAM_LEAST);
    CHECK(messages(bus) == 1);

    /* Frames that are passed through take no time, but do not make it smaller either. */
    const GstClockTime before = least;
    g_object_set(harness->element, "strength", 0.0, NULL);
    gst_buffer_unref(enhanced(harness, noisy_frame(CAPS, 2)));
    query(harness, &least, &most);
    CHECK(least == before && messages(bus) == 0);
    gst_element_set_bus(harness->element, NULL);
    gst_harness_teardown(harness);
}

static void it_is_told_less_often_than_it_is_measured(void) {
    GstHarness *harness = harness_of(MODEL, CAPS);
    g_autoptr(GstBus) bus = gst_bus_new();
    gst_element_set_bus(harness->element, bus);
    for (guint i = 0; i < 50; i++)
        gst_buffer_unref(enhanced(harness, noisy_frame(CAPS, i)));
    const gint count = messages(bus);
    CHECK(count >= 1 && count < 25);
    gst_element_set_bus(harness->element, NULL);
    gst_harness_teardown(harness);
}

int main(int count, char **arguments) {
    gst_init(&count, &arguments);
    the_time_of_a_frame_is_added_and_told();
    it_is_told_less_often_than_it_is_measured();
    return failures > 0;
}
