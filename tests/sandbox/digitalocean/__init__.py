# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A stateful DigitalOcean API: provisions slowly, pages, limits, refuses and fails as the real one does."""
