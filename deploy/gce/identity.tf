resource "google_project_service" "used" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "bigtable.googleapis.com",
    "bigtableadmin.googleapis.com",
    "compute.googleapis.com",
    "iap.googleapis.com",
    "logging.googleapis.com",
    "secretmanager.googleapis.com",
  ])
  service            = each.key
  disable_on_destroy = false
}

# What it may do: read and write rows, write logs, read its own secrets and the releases. It owns nothing.
resource "google_service_account" "collector" {
  account_id   = var.name
  display_name = "Depth collector"
}

resource "google_project_iam_member" "logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.collector.member
}

resource "google_secret_manager_secret" "setting" {
  for_each  = var.secrets
  secret_id = "${var.name}-${each.key}"

  replication {
    auto {}
  }

  depends_on = [google_project_service.used]
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each  = var.secrets
  secret_id = google_secret_manager_secret.setting[each.key].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.collector.member
}

# Releases as archives, for the machine that installs them.
resource "google_artifact_registry_repository" "releases" {
  repository_id = "${var.name}-releases"
  location      = var.region
  format        = "GENERIC"
  depends_on    = [google_project_service.used]
}

# Images, for machines that run containers.
resource "google_artifact_registry_repository" "images" {
  repository_id = "${var.name}-images"
  location      = var.region
  format        = "DOCKER"
  depends_on    = [google_project_service.used]
}

resource "google_artifact_registry_repository_iam_member" "reader" {
  for_each = {
    releases = google_artifact_registry_repository.releases.name
    images   = google_artifact_registry_repository.images.name
  }
  location   = var.region
  repository = each.value
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.collector.member
}
