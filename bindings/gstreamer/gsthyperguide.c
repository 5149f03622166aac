/* The streaming thread owns the session. Other threads set properties under the object lock, and
 * cancel the frame that is in progress. */
#include "gsthyperguide.h"

#include <hyperguide.h>

#include "picture.h"
#include "settings.h"

GST_DEBUG_CATEGORY_STATIC(hyperguide_debug);
#define GST_CAT_DEFAULT hyperguide_debug

/* Weight of the last frame in the mean time of a frame: a single slow one hardly shows. */
#define LATENCY_WEIGHT 0.125

/* A longer gap in the stream is taken for another scene. */
#define LONGEST_GAP GST_SECOND

struct _GstHyperguide {
    GstVideoFilter parent;

    /* Under the object lock: */
    Settings settings;
    gboolean is_flushing; /* no frame may begin */
    GstClockTime latency, latency_posted;
    gboolean takes_gray; /* whether the model takes only that */
    hg_session *session; /* is set under the lock, but runs without it */

    /* Of the streaming thread: */
    hg_model_info info;
    gboolean must_reset; /* before the next frame that is enhanced */
    GstClockTime last;   /* time stamp of the last frame */
    Dials current;       /* of the frame in progress */
    float *map;          /* NULL until it is shown */
    gsize map_size;
};

G_DEFINE_TYPE(GstHyperguide, gst_hyperguide, GST_TYPE_VIDEO_FILTER)
GST_ELEMENT_REGISTER_DEFINE(hyperguide, "hyperguide", GST_RANK_NONE, GST_TYPE_HYPERGUIDE)

/* Averaging would mix the two fields of interlaced frames. */
#define CAPS GST_VIDEO_CAPS_MAKE(PICTURE_FORMATS) ", interlace-mode = (string) progressive"

#define BASE GST_BASE_TRANSFORM_CLASS(gst_hyperguide_parent_class)

/* ---- Starting and stopping ------------------------------------------------------------------- */

static void log_message(hg_log_level level, const char *message, void *user) {
    if (level == HG_LOG_WARNING)
        GST_WARNING_OBJECT(user, "%s", message);
    else
        GST_INFO_OBJECT(user, "%s", message);
}

/* Posts why the model was not loaded. */
static void post_load_error(GstHyperguide *self) {
    switch (hg_last_status()) {
    case HG_BAD_FILE:
        GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ, ("%s", hg_last_error()), (NULL));
        break;
    case HG_NO_BACKEND:
    case HG_OUT_OF_MEMORY:
        GST_ELEMENT_ERROR(self, LIBRARY, INIT, ("%s", hg_last_error()), (NULL));
        break;
    default:
        GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS, ("%s", hg_last_error()), (NULL));
    }
}

/* Loads the model and starts a session; posts what is wrong and returns NULL if that fails. */
static hg_session *open_session(GstHyperguide *self) {
    GST_OBJECT_LOCK(self);
    g_autofree gchar *path = g_strdup(self->settings.model);
    g_autofree gchar *device = g_strdup(self->settings.device);
    g_autofree gchar *library = g_strdup(self->settings.library);
    const hg_model_options options = {
        .device = device,
        .library = library,
        .threads = self->settings.threads,
        .log = log_message,
        .user = self,
    };
    const hg_session_options stream = {.no_temporal = !self->settings.temporal};
    GST_OBJECT_UNLOCK(self);

    if (!path || !*path) {
        GST_ELEMENT_ERROR(self, RESOURCE, SETTINGS,
                          ("There is no model: set 'model' to the path of an .onnx file."), (NULL));
        return NULL;
    }
    hg_model *model = hg_model_open(path, &options);
    if (!model) {
        post_load_error(self);
        return NULL;
    }

    hg_session *session = hg_session_create(model, &stream);
    if (session)
        hg_model_get_info(model, &self->info);
    else
        GST_ELEMENT_ERROR(self, LIBRARY, INIT, ("%s", hg_last_error()), (NULL));
    hg_model_destroy(model); /* the session keeps what it needs */
    return session;
}

static gboolean start(GstBaseTransform *transform) {
    GstHyperguide *self = GST_HYPERGUIDE(transform);
    hg_session *session = open_session(self);
    GST_OBJECT_LOCK(self);
    self->session = session;
    self->takes_gray = session && self->info.channels == 1;
    self->is_flushing = FALSE;
    self->latency = self->latency_posted = 0;
    GST_OBJECT_UNLOCK(self);
    self->last = GST_CLOCK_TIME_NONE;
    return session != NULL;
}

static gboolean stop(GstBaseTransform *transform) {
    GstHyperguide *self = GST_HYPERGUIDE(transform);
    GST_OBJECT_LOCK(self);
    hg_session *session = g_steal_pointer(&self->session);
    self->takes_gray = FALSE;
    GST_OBJECT_UNLOCK(self);
    hg_session_destroy(session);
    g_clear_pointer(&self->map, g_free);
    self->map_size = 0;
    return TRUE;
}

/* Stops the frame in progress, which may take long, and lets no other one begin. */
static void interrupt(GstHyperguide *self) {
    GST_OBJECT_LOCK(self);
    self->is_flushing = TRUE;
    hg_session_cancel(self->session); /* under the lock, so that it is not destroyed meanwhile */
    GST_OBJECT_UNLOCK(self);
}

static GstStateChangeReturn change_state(GstElement *element, GstStateChange transition) {
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
        interrupt(GST_HYPERGUIDE(element));
    return GST_ELEMENT_CLASS(gst_hyperguide_parent_class)->change_state(element, transition);
}

/* ---- Events and latency ---------------------------------------------------------------------- */

static gboolean sink_event(GstBaseTransform *transform, GstEvent *event) {
    GstHyperguide *self = GST_HYPERGUIDE(transform);
    switch (GST_EVENT_TYPE(event)) {
    case GST_EVENT_FLUSH_START:
        interrupt(self);
        break;
    case GST_EVENT_FLUSH_STOP:
        GST_OBJECT_LOCK(self);
        self->is_flushing = FALSE;
        GST_OBJECT_UNLOCK(self);
        break;
    case GST_EVENT_CAPS:
    case GST_EVENT_SEGMENT: /* also follows each flush */
        self->must_reset = TRUE;
        break;
    default:
        break;
    }
    return BASE->sink_event(transform, event);
}

/* Models for gray pictures take those with a plane of their own for it. */
static GstCaps *transform_caps(GstBaseTransform *transform, GstPadDirection direction, GstCaps *caps,
                               GstCaps *filter) {
    GstHyperguide *self = GST_HYPERGUIDE(transform);
    g_autoptr(GstCaps) possible = BASE->transform_caps(transform, direction, caps, filter);
    GST_OBJECT_LOCK(self);
    const gboolean takes_gray = self->takes_gray;
    GST_OBJECT_UNLOCK(self);
    if (!takes_gray || !possible)
        return g_steal_pointer(&possible);
    g_autoptr(GstCaps) yuv = gst_caps_from_string(GST_VIDEO_CAPS_MAKE(YUV_FORMATS));
    return gst_caps_intersect_full(possible, yuv, GST_CAPS_INTERSECT_FIRST);
}

static gboolean query(GstBaseTransform *transform, GstPadDirection direction, GstQuery *query) {
    GstHyperguide *self = GST_HYPERGUIDE(transform);
    if (!BASE->query(transform, direction, query))
        return FALSE;
    if (GST_QUERY_TYPE(query) == GST_QUERY_LATENCY && direction == GST_PAD_SRC) {
        gboolean is_live;
        GstClockTime least, most;
        gst_query_parse_latency(query, &is_live, &least, &most);
        GST_OBJECT_LOCK(self);
        least += self->latency;
        if (most != GST_CLOCK_TIME_NONE)
            most += self->latency;
        GST_OBJECT_UNLOCK(self);
        gst_query_set_latency(query, is_live, least, most);
    }
    return TRUE;
}

/* Takes the time of a frame into the mean. Each message makes the pipeline set its latency again,
 * which viewers may notice, so only large changes are posted. */
static void measure(GstHyperguide *self, GstClockTime time) {
    GST_OBJECT_LOCK(self);
    const gdouble mean = self->latency, posted = self->latency_posted;
    self->latency = mean > 0 ? mean + LATENCY_WEIGHT * ((gdouble)time - mean) : time;
    const gboolean is_new = ABS((gdouble)self->latency - posted) > posted / 2;
    if (is_new)
        self->latency_posted = self->latency;
    GST_OBJECT_UNLOCK(self);
    if (is_new)
        gst_element_post_message(GST_ELEMENT(self), gst_message_new_latency(GST_OBJECT(self)));
}

/* ---- Frames ---------------------------------------------------------------------------------- */

/* Whether a frame does not go on where the last one was. Elements that drop late frames mark the next
 * one as a discontinuity too, though it shows the same scene. */
static gboolean is_another_scene(const GstHyperguide *self, const GstBuffer *frame) {
    const GstClockTime now = GST_BUFFER_PTS(frame);
    if (!GST_BUFFER_IS_DISCONT(frame))
        return FALSE;
    if (!GST_CLOCK_TIME_IS_VALID(now) || !GST_CLOCK_TIME_IS_VALID(self->last))
        return TRUE;
    return now < self->last || now - self->last > LONGEST_GAP;
}

/* Sees all frames, including those that are then passed through, or dropped because they are late.
 */
static void before_transform(GstBaseTransform *transform, GstBuffer *buffer) {
    GstHyperguide *self = GST_HYPERGUIDE(transform);
    GstClockTime time = GST_CLOCK_TIME_NONE;
    if (transform->segment.format == GST_FORMAT_TIME)
        time = gst_segment_to_stream_time(&transform->segment, GST_FORMAT_TIME,
                                          GST_BUFFER_PTS(buffer));
    if (GST_CLOCK_TIME_IS_VALID(time))
        gst_object_sync_values(GST_OBJECT(self), time);
    if (is_another_scene(self, buffer))
        self->must_reset = TRUE;
    self->last = GST_BUFFER_PTS(buffer);
    GST_OBJECT_LOCK(self);
    self->current = self->settings.dials;
    GST_OBJECT_UNLOCK(self);
    gst_base_transform_set_passthrough(transform,
                                       self->current.strength == 0 && !self->current.show_guidance);
}

/* Enhances a picture in place. map: receives the map, or NULL.
 * The dials are in range, and nobody else uses the session: setting them does not fail. */
static hg_status run(GstHyperguide *self, const hg_picture *picture, const hg_map *map) {
    const Dials *dials = &self->current;
    if (self->must_reset)
        hg_session_reset(self->session);
    self->must_reset = FALSE;
    /* At strength 0 the library makes no map; otherwise the map does not depend on it. */
    hg_session_set_strength(self->session, map ? 1 : (float)dials->strength);
    hg_session_set_guidance_scale(self->session, (float)dials->guidance_scale);
    hg_session_set_smoothing(self->session,
                             dials->smooth < 0 ? self->info.smoothing : (float)dials->smooth);
    return hg_session_run(self->session, picture, NULL, picture, map);
}

static hg_map map_for(GstHyperguide *self, const GstVideoFrame *frame) {
    const gint width = GST_VIDEO_FRAME_WIDTH(frame), height = GST_VIDEO_FRAME_HEIGHT(frame);
    const gsize size = (gsize)width * height;
    if (self->map_size != size)
        self->map = g_renew(float, self->map, size);
    self->map_size = size;
    return (hg_map){.values = self->map, .width = width, .height = height};
}

static GstFlowReturn transform_frame_ip(GstVideoFilter *filter, GstVideoFrame *frame) {
    GstHyperguide *self = GST_HYPERGUIDE(filter);
    GST_OBJECT_LOCK(self);
    const gboolean is_flushing = self->is_flushing;
    GST_OBJECT_UNLOCK(self);
    if (is_flushing)
        return GST_FLOW_FLUSHING;

    const GstClockTime begin = gst_util_get_timestamp();
    const hg_picture picture = picture_of(frame);
    hg_status status;
    if (self->current.show_guidance) {
        const hg_map map = map_for(self, frame);
        status = run(self, &picture, &map);
        if (status == HG_OK)
            draw_map(frame, map.values, self->info.minimum, self->info.maximum);
    } else {
        status = run(self, &picture, NULL);
    }
    switch (status) {
    case HG_OK:
        measure(self, gst_util_get_timestamp() - begin);
        return GST_FLOW_OK;
    case HG_CANCELLED:
        return GST_FLOW_FLUSHING;
    case HG_BAD_ARGUMENT:
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("%s", hg_last_error()), (NULL));
        return GST_FLOW_ERROR;
    default:
        GST_ELEMENT_ERROR(self, LIBRARY, FAILED, ("%s", hg_last_error()), (NULL));
        return GST_FLOW_ERROR;
    }
}

/* ---- Properties ------------------------------------------------------------------------------ */

static void set_property(GObject *object, guint id, const GValue *value, GParamSpec *spec) {
    GstHyperguide *self = GST_HYPERGUIDE(object);
    GST_OBJECT_LOCK(self);
    const gboolean is_late =
        (spec->flags & GST_PARAM_MUTABLE_READY) && GST_STATE(self) > GST_STATE_READY;
    if (!is_late)
        settings_set(&self->settings, id, value);
    GST_OBJECT_UNLOCK(self);
    if (is_late)
        g_warning("'%s' of %s can only be changed in the states NULL and READY.", spec->name,
                  GST_OBJECT_NAME(self));
}

static void get_property(GObject *object, guint id, GValue *value, G_GNUC_UNUSED GParamSpec *spec) {
    GstHyperguide *self = GST_HYPERGUIDE(object);
    GST_OBJECT_LOCK(self);
    settings_get(&self->settings, id, value);
    GST_OBJECT_UNLOCK(self);
}

static void finalize(GObject *object) {
    settings_clear(&GST_HYPERGUIDE(object)->settings);
    G_OBJECT_CLASS(gst_hyperguide_parent_class)->finalize(object);
}

static void gst_hyperguide_init(G_GNUC_UNUSED GstHyperguide *self) {}

static void gst_hyperguide_class_init(GstHyperguideClass *class) {
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    GstBaseTransformClass *transform = GST_BASE_TRANSFORM_CLASS(class);
    GstVideoFilterClass *filter = GST_VIDEO_FILTER_CLASS(class);
    GST_DEBUG_CATEGORY_INIT(hyperguide_debug, "hyperguide", 0, "Guided enhancement");

    object->set_property = set_property;
    object->get_property = get_property;
    object->finalize = finalize;
    settings_install(object);

    element->change_state = change_state;
    gst_element_class_set_static_metadata(
        element, "Guided video enhancement", "Filter/Effect/Video",
        "Removes noise, blur, rain or haze with a network, guided by a map that it predicts",
        "Hyperguide");
    GstCaps *caps = gst_caps_from_string(CAPS);
    gst_element_class_add_pad_template(
        element, gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
    gst_element_class_add_pad_template(
        element, gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
    gst_caps_unref(caps);

    transform->start = start;
    transform->stop = stop;
    transform->sink_event = sink_event;
    transform->transform_caps = transform_caps;
    transform->query = query;
    transform->before_transform = before_transform;
    transform->transform_ip_on_passthrough = FALSE;
    filter->transform_frame_ip = transform_frame_ip;
}
