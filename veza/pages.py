"""The pages that buyers and sellers see in a browser, in their browser's language."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.views.generic import TemplateView


class TranslatedPage(TemplateView):
    """A page in the best language for the browser. The API and the admin are in English whatever it asks for."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        language = translation.get_language_from_request(request)
        with translation.override(language):
            response = TemplateResponse(request, self.get_template_names(), self.get_context_data(**kwargs)).render()
        response["Content-Language"] = language
        patch_vary_headers(response, ["Accept-Language"])
        return response
