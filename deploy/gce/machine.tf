resource "google_compute_network" "depth" {
  name                    = var.name
  auto_create_subnetworks = false
  depends_on              = [google_project_service.used]
}

resource "google_compute_subnetwork" "depth" {
  name                     = var.name
  network                  = google_compute_network.depth.id
  ip_cidr_range            = "10.20.0.0/24"
  private_ip_google_access = true
}

# The network lets nothing in by itself; ssh comes through Identity-Aware Proxy, for those who may use it.
# https://cloud.google.com/iap/docs/using-tcp-forwarding
resource "google_compute_firewall" "iap_ssh" {
  name          = "${var.name}-iap-ssh"
  network       = google_compute_network.depth.name
  direction     = "INGRESS"
  source_ranges = ["35.235.240.0/20"]

  allow {
    protocol = "tcp"
    ports    = ["22"]
  }
}

# Spool, SQLite and Prefect's database; it stays when the machine is replaced.
resource "google_compute_disk" "data" {
  name = "${var.name}-data"
  type = "pd-balanced"
  size = var.data_disk_gb

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_compute_instance" "collector" {
  name                      = var.name
  machine_type              = var.machine_type
  allow_stopping_for_update = true
  deletion_protection       = true

  boot_disk {
    initialize_params {
      image = "debian-cloud/debian-12"
      size  = 20
      type  = "pd-balanced"
    }
  }

  attached_disk {
    source      = google_compute_disk.data.id
    device_name = "depth-data"
  }

  network_interface {
    subnetwork = google_compute_subnetwork.depth.id
    # An address of its own costs less than a NAT gateway; the firewall lets nothing in.
    access_config {}
  }

  service_account {
    email  = google_service_account.collector.email
    scopes = ["cloud-platform"]
  }

  shielded_instance_config {
    enable_secure_boot          = true
    enable_vtpm                 = true
    enable_integrity_monitoring = true
  }

  metadata = {
    enable-oslogin         = "TRUE"
    block-project-ssh-keys = "TRUE"
    startup-script         = file("${path.module}/startup.sh")
    depth-releases         = google_artifact_registry_repository.releases.name
    depth-region           = var.region
    depth-services         = join(" ", var.services)
    depth-secrets          = join(" ", var.secrets)
    depth-ops-agent        = var.install_ops_agent
    depth-settings = join("\n", [
      for name, value in merge(
        {
          DB_BACKEND           = "bigtable"
          BIGTABLE_PROJECT_ID  = var.project
          BIGTABLE_INSTANCE_ID = var.bigtable_instance
          SQLITE_PATH          = "/var/lib/depth/depth.db"
          SPOOL_PATH           = "/var/lib/depth/spool.db"
          LOG_FORMAT           = "json"
          PREFECT_API_URL      = var.prefect_api_url
        },
        var.settings
      ) : "${name}=${value}"
    ])
  }

  # release.sh sets it.
  lifecycle {
    ignore_changes = [metadata["depth-release"]]
  }

  depends_on = [google_bigtable_instance_iam_member.collector]
}
