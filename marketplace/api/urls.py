from django.urls import path

from marketplace.api.cart import Cart, CartCheckout, OneCartItem
from marketplace.api.licenses import OwnLicenses
from marketplace.api.order_payments import OrderCancellation, OrderPayment
from marketplace.api.orders import OneOrder, Orders
from marketplace.api.products import OneProduct, Products
from marketplace.api.refunds import OrderRefunds, RefundOrder, WithdrawRefund
from marketplace.api.standing import Standing

urlpatterns = [
    path("marketplace/cart", Cart.as_view(), name="cart"),
    path("marketplace/cart/items/<uuid:pk>", OneCartItem.as_view(), name="cart-item"),
    path("marketplace/cart/checkout", CartCheckout.as_view(), name="cart-checkout"),
    path("marketplace/products", Products.as_view(), name="products"),
    path("marketplace/products/<uuid:pk>", OneProduct.as_view(), name="product"),
    path("marketplace/orders", Orders.as_view(), name="orders"),
    path("marketplace/orders/<uuid:pk>", OneOrder.as_view(), name="order"),
    path("marketplace/orders/<uuid:pk>/pay", OrderPayment.as_view(), name="order-pay"),
    path("marketplace/orders/<uuid:pk>/cancel", OrderCancellation.as_view(), name="order-cancel"),
    path("marketplace/orders/<uuid:pk>/refund", RefundOrder.as_view(), name="order-refund"),
    path("marketplace/orders/<uuid:pk>/refunds", OrderRefunds.as_view(), name="order-refunds"),
    path("marketplace/refunds/<uuid:pk>/withdraw", WithdrawRefund.as_view(), name="refund-withdrawal"),
    path("me/standing", Standing.as_view(), name="standing"),
    path("licenses/mine", OwnLicenses.as_view(), name="licenses"),
]
