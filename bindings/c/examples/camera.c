/* Enhances the frames of a camera (V4L2) and writes them as y4m:
 *
 *     camera denoise-live.onnx /dev/video0 | ffplay -
 */
#include <fcntl.h>
#include <hyperguide.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BUFFERS = 3 };

static int fail(const char *what) {
    perror(what);
    return 1;
}

int main(int count, char **arguments) {
    if (count < 3)
        return fprintf(stderr, "camera MODEL.onnx DEVICE\n"), 2;
    hg_model *model = hg_model_open(arguments[1], NULL);
    if (!model)
        return fprintf(stderr, "%s\n", hg_last_error()), 1;
    hg_session *session = hg_session_create(model, NULL);
    if (!session)
        return fprintf(stderr, "%s\n", hg_last_error()), 1;

    int camera = open(arguments[2], O_RDWR);
    struct v4l2_format format = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE};
    format.fmt.pix.width = 640, format.fmt.pix.height = 480;
    format.fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV; /* what every webcam has */
    if (camera < 0 || ioctl(camera, VIDIOC_S_FMT, &format) < 0)
        return fail(arguments[2]);
    if (format.fmt.pix.pixelformat != V4L2_PIX_FMT_YUYV)
        return fprintf(stderr, "%s does not give YUYV.\n", arguments[2]), 1;
    int width = format.fmt.pix.width & ~1, height = format.fmt.pix.height & ~1;
    size_t stride = format.fmt.pix.bytesperline, pixels = (size_t)width * height;

    struct v4l2_requestbuffers request = {
        .count = BUFFERS, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
    unsigned char *mapped[BUFFERS], *frame = malloc(pixels * 3 / 2);
    int on = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    if (!frame || ioctl(camera, VIDIOC_REQBUFS, &request) < 0 || request.count > BUFFERS)
        return fail("buffers");
    struct v4l2_buffer buffer = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP};
    for (buffer.index = 0; buffer.index < request.count; buffer.index++) {
        if (ioctl(camera, VIDIOC_QUERYBUF, &buffer) < 0)
            return fail("buffers");
        mapped[buffer.index] = mmap(NULL, buffer.length, PROT_READ | PROT_WRITE, MAP_SHARED, camera,
                                    buffer.m.offset);
        if (mapped[buffer.index] == MAP_FAILED || ioctl(camera, VIDIOC_QBUF, &buffer) < 0)
            return fail("buffers");
    }
    if (ioctl(camera, VIDIOC_STREAMON, &on) < 0)
        return fail("stream");

    hg_picture picture = {.format = HG_I420, .width = width, .height = height, .matrix = HG_BT601};
    picture.planes[0] = frame;
    picture.planes[1] = frame + pixels;
    picture.planes[2] = frame + pixels * 5 / 4;
    printf("YUV4MPEG2 W%d H%d F30:1 Ip C420mpeg2\n", width, height);
    while (ioctl(camera, VIDIOC_DQBUF, &buffer) == 0) {
        unsigned char *y = frame, *u = picture.planes[1], *v = picture.planes[2];
        for (int row = 0; row < height; row++) {
            const unsigned char *in = mapped[buffer.index] + row * stride;
            for (int x = 0; x < width; x += 2, in += 4) {
                *y++ = in[0], *y++ = in[2];
                if (row % 2 == 0) /* 4:2:0 has half of the rows of chroma */
                    *u++ = in[1], *v++ = in[3];
            }
        }
        ioctl(camera, VIDIOC_QBUF, &buffer);
        if (hg_session_run(session, &picture, NULL, &picture, NULL) != HG_OK)
            return fprintf(stderr, "%s\n", hg_last_error()), 1;
        if (fputs("FRAME\n", stdout) < 0 || fwrite(frame, 1, pixels * 3 / 2, stdout) != pixels * 3 / 2)
            break; /* the reader has gone */
    }
    hg_session_destroy(session);
    hg_model_destroy(model);
    free(frame);
    return close(camera);
}
