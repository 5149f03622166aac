#include "motion_camera.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "filters.hpp"

namespace hyperguide {

namespace {

// Deviations from a fit beyond which tiles count little, from one fit to the next.
constexpr double WIDTHS[] = {0.5, 0.3, 0.2, 0.15, 0.1};
// F-statistic from which on the camera counts as zooming or turning rather than panning.
constexpr double SIGNIFICANT = 15;
// Fewer tiles than this only tell a pan.
constexpr std::size_t FEWEST = 12;

using Terms = std::array<double, 3>;  // of a plane: 1, x, y

// One axis of the motion.
struct Axis {
    std::vector<double> values, certainty, pan, zoom;
};

// Solves a system of up to three equations whose matrix is symmetric and positive definite.
Terms solved(std::array<Terms, 3> matrix, Terms right, int count) {
    for (int i = 0; i < count; i++)
        for (int j = i + 1; j < count; j++) {
            const double part = matrix[j][i] / matrix[i][i];
            for (int k = i; k < count; k++)
                matrix[j][k] -= part * matrix[i][k];
            right[j] -= part * right[i];
        }
    for (int i = count - 1; i >= 0; --i) {
        for (int k = i + 1; k < count; k++)
            right[i] -= matrix[i][k] * right[k];
        right[i] /= matrix[i][i];
    }
    return right;
}

class Fit {
  public:
    Fit(const std::vector<Shift> &shifts, const std::vector<Shift> &weights, int rows, int columns)
        : count_(shifts.size()), columns_(columns), rows_(rows), agreeing_(count_) {
        for (std::size_t i = 0; i < count_; i++) {
            x_.values.push_back(shifts[i].x), x_.certainty.push_back(weights[i].x);
            y_.values.push_back(shifts[i].y), y_.certainty.push_back(weights[i].y);
        }
        for (Axis *axis : {&x_, &y_}) {
            Floats some(axis->values.begin(), axis->values.end());
            axis->pan.assign(count_, percentile(some, 50));
            axis->zoom = axis->pan;
        }
    }

    void run() {
        for (double width : WIDTHS) {
            weigh(&Axis::pan, width);
            for (Axis *axis : {&x_, &y_})
                fit(*axis, 1, axis->pan);
            if (count_ < FEWEST)
                continue;
            weigh(&Axis::zoom, width);
            for (Axis *axis : {&x_, &y_})
                fit(*axis, 3, axis->zoom);
        }
    }

    bool zooms() {
        weigh(&Axis::zoom, WIDTHS[4]);
        const double of_pan = error(&Axis::pan), of_zoom = error(&Axis::zoom);
        const double freedom = 2.0 * double(count_) - 6;
        return (of_pan - of_zoom) * freedom > SIGNIFICANT * 4 * of_zoom;
    }

    void write(bool zooms, std::vector<Shift> &camera) const {
        camera.resize(count_);
        for (std::size_t i = 0; i < count_; i++)
            camera[i] = zooms ? Shift{float(x_.zoom[i]), float(y_.zoom[i])}
                              : Shift{float(x_.pan[i]), float(y_.pan[i])};
    }

  private:
    using Fitted = std::vector<double> Axis::*;

    // Near 1 for shifts that agree, near 0 for others.
    void weigh(Fitted fitted, double width) {
        for (std::size_t i = 0; i < count_; i++) {
            const double away = std::max(std::fabs(x_.values[i] - (x_.*fitted)[i]),
                                         std::fabs(y_.values[i] - (y_.*fitted)[i])) /
                                width;
            agreeing_[i] = 1 / ((1 + away * away) * (1 + away * away));
        }
    }

    Terms terms(std::size_t tile) const {
        return {1, double(tile % columns_) / columns_, double(tile / columns_) / rows_};
    }

    // Least squares with the first `count` terms.
    void fit(const Axis &axis, int count, std::vector<double> &fitted) const {
        std::array<Terms, 3> matrix{};
        Terms right{};
        for (std::size_t tile = 0; tile < count_; tile++) {
            const Terms of_tile = terms(tile);
            const double weight = axis.certainty[tile] * agreeing_[tile];
            for (int i = 0; i < count; i++) {
                for (int j = 0; j < count; j++)
                    matrix[i][j] += weight * of_tile[i] * of_tile[j];
                right[i] += weight * of_tile[i] * axis.values[tile];
            }
        }
        for (int i = 0; i < count; i++)
            matrix[i][i] += 1e-9;  // tiles may not count at all
        const Terms factors = solved(matrix, right, count);
        for (std::size_t tile = 0; tile < count_; tile++) {
            const Terms of_tile = terms(tile);
            fitted[tile] = 0;
            for (int i = 0; i < count; i++)
                fitted[tile] += factors[i] * of_tile[i];
        }
    }

    double error(Fitted fitted) const {
        double sum = 0;
        for (const Axis *axis : {&x_, &y_})
            for (std::size_t i = 0; i < count_; i++) {
                const double away = axis->values[i] - (axis->*fitted)[i];
                sum += axis->certainty[i] * agreeing_[i] * away * away;
            }
        return sum;
    }

    std::size_t count_, columns_, rows_;
    Axis x_, y_;
    std::vector<double> agreeing_;
};

}  // namespace

void fit_camera(const std::vector<Shift> &shifts, const std::vector<Shift> &weights, int rows,
                int columns, std::vector<Shift> &camera) {
    Fit fit(shifts, weights, rows, columns);
    fit.run();
    fit.write(fit.zooms(), camera);
}

}  // namespace hyperguide
